"""The configuration files of the servers, as text. Knows no process.

nginx: what Debian ships and gunicorn's deployment page adds (Unix socket, the proxy_set_header lines, no
upstream keep-alive). Kinder than those: a buffered log, as Trivet's is written in batches, and no limit of
requests a connection. Left out: gzip, which has no counterpart in Trivet yet.
"""

import os

NGINX = """
{user}worker_processes {processes};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
daemon off;
events {{ worker_connections 16384; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log {access};
    sendfile on; tcp_nopush on; types_hash_max_size 2048;
    keepalive_timeout 75; keepalive_requests 100000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {http}
    server {{
        listen 127.0.0.1:{port}{listen};
        client_max_body_size 64m;
        location /static/ {{ alias {folder}/static/; }}
        {server}
    }}
}}
"""
NGINX_PROXY = """location / {{
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Host $http_host;
            {more}
            proxy_redirect off;
            proxy_pass http://app;
        }}"""
# What a front needs for kept connections to what is behind it (nginx.org, ngx_http_upstream_module).
NGINX_KEEPALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";'
NGINX_EVENTS = NGINX_KEEPALIVE + " proxy_buffering off;"

TRIVET = """
listen: 127.0.0.1:{port}
run_dir: {folder}/run
trusted_proxies: [unix]
proxy: {{processes: {processes}}}
log: {{access: {access}, format: combined, error: {folder}/error.log}}
routes:
  - {{path: /static/, files: {folder}/static}}
  - {{path: /, {action}}}
"""
TRIVET_POOL = """
pools: {{web: {{app: "{app}", directory: {applications}, workers: {workers}, threads: {threads}}}}}
"""

CADDY = """
{{
    admin off
    auto_https off
    persist_config off
}}
http://127.0.0.1:{port} {{
    {log}
    handle_path /static/* {{
        root * {folder}/static
        file_server
    }}
    handle {{
        reverse_proxy unix/{folder}/app.sock
    }}
}}
"""

HAPROXY = """
global
    nbthread {processes}
    maxconn 9000
    log stdout format raw local0
defaults
    mode http
    {log}
    timeout connect 5s
    timeout client 75s
    timeout server 60s
    timeout http-keep-alive 75s
frontend site
    bind 127.0.0.1:{port}
    option forwardfor
    default_backend app
backend app
    server one unix@{folder}/app.sock
"""


def nginx(
    folder: str, port: int, processes: int, log: bool, servers: list[str], more: str = "", keep: int = 0
) -> str:
    """With an application behind it."""
    lines = [f"server unix:{path} fail_timeout=0;" for path in servers]
    behind = " ".join(lines) + (f" keepalive {keep};" if keep else "")
    http, server = f"upstream app {{ {behind} }}", NGINX_PROXY.format(more=more)
    return nginx_site(folder, port, processes, log, server, http)


def nginx_site(
    folder: str, port: int, processes: int, log: bool, server: str, http: str = "", listen: str = ""
) -> str:
    """Files, and what else `server` says of the one server there is."""
    return NGINX.format(
        user="user root; " if os.geteuid() == 0 else "",  # else its workers could not enter our folders
        folder=folder,
        port=port,
        processes=processes,
        access=f"{folder}/nginx-access.log combined buffer=64k flush=1s" if log else "off",
        http=http,
        listen=listen,
        server=server,
    )


def trivet(folder: str, port: int, processes: int, log: bool, action: str) -> str:
    access = f"{folder}/access.log" if log else "off"
    return TRIVET.format(folder=folder, port=port, processes=processes, access=access, action=action)


def trivet_pool(app: str, applications: str, workers: int, threads: int) -> str:
    return TRIVET_POOL.format(app=app, applications=applications, workers=workers, threads=threads)


def caddy(folder: str, port: int, log: bool) -> str:
    said = f"log {{\n        output file {folder}/access.log\n    }}" if log else ""
    return CADDY.format(folder=folder, port=port, log=said)


def haproxy(folder: str, port: int, processes: int, log: bool) -> str:
    said = "log global\n    option httplog" if log else "no log"
    return HAPROXY.format(folder=folder, port=port, processes=processes, log=said)
