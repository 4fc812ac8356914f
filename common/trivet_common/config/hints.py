"""What to write instead of a key that is not ours: names of other servers, misplaced keys, misspellings."""

import difflib
from collections.abc import Callable

from .model_access import ForwardAuthKeys, RateLimitKeys
from .model_headers import HeaderChanges
from .model_log import RouteLogKeys
from .model_rewrite import RedirectKeys
from .model_routes import RespondKeys, RouteOptions
from .model_upstreams import UpstreamKeys
from .outline import homes, keys_of
from .problems import shown
from .section import Section

# nginx, gunicorn, uWSGI, Apache and Caddy: what people bring along. Spelled with _, lower case.
FOREIGN = {
    "accept_mutex": "leave it out: each proxy process has its own socket",
    "access_log": "write log: {access: stdout} (a file, or off)",
    "accesslog": "write log: {access: stdout} (a file, or off)",
    "add_header": "write response_headers: {set: {Name: value}}",
    "alias": "write files: FOLDER; what follows the route's path is looked up below it",
    "application": "write app: module:callable",
    "auth_basic": "write basic_auth: {file: FILE, realm: TEXT} below the route",
    "auth_basic_user_file": "write basic_auth: FILE below the route",
    "auth_request": "write forward_auth: {url: \"http://host:port/path\"} below the route",
    "auth_request_set": "write forward_auth: {copy: [NAME]} below the route",
    "autoindex": "write files: {root: FOLDER, listing: true}",
    "backlog": "leave it out: requests wait in queue: {limit: 1000, timeout: 10s}",
    "bind": "write listen: 127.0.0.1:8000",
    "brotli_static": "leave it out: files: looks for NAME.br, NAME.zst and NAME.gz by itself",
    "browse": "write files: {root: FOLDER, listing: true}",
    "buffer_size": "write limits: {header_bytes: 32KiB}",
    "capture_output": "leave it out: what applications print always goes to the error log",
    "certfile": "write listen: {address: \":443\", tls: {certificate: FILE, key: FILE}}",
    "chdir": "write directory: FOLDER below the pool",
    "cheap": "write workers: {min: 1, max: 8} below the pool",
    "cheaper": "write workers: {min: 1, max: 8} below the pool",
    "cheaper_initial": "write workers: {min: 1, max: 8} below the pool; it starts with min",
    "cheaper_overload": "write workers: {min: 1, max: 8, idle: 60s} below the pool",
    "child_exit": "write worker_exit: module:function below the pool",
    "chmod_socket": "write listen: {address: \"unix:…\", mode: 0660}",
    "client_body_buffer_size": "write spool: {memory: 64KiB}",
    "client_body_timeout": "write limits: {body_timeout: 30s}",
    "client_header_buffer_size": "write limits: {header_bytes: 32KiB}",
    "client_header_timeout": "write limits: {header_timeout: 10s}",
    "client_max_body_size": "write limits: {body: 64MiB}, for the site or below a route",
    "daemon": "leave it out: let systemd or a container keep trivet running",
    "default_type": "write files: {root: FOLDER, types: {NAME: TYPE}}",
    "disable_symlinks": "write files: {root: FOLDER, follow_links: never}",
    "error_log": "write log: {error: stderr} (or a file)",
    "error_page": "write errors: {502: page.html}",
    "errorlog": "write log: {error: stderr} (or a file)",
    "evil_reload_on_rss": "write max_memory: 300MiB below the pool; the request that runs is finished",
    "expires": "write files: {root: FOLDER, cache: 30d}",
    "fail_timeout": "leave it out: a server that fails is left out for a second, then two, up to a minute",
    "file_server": "write files: FOLDER",
    "forwarded_allow_ips": "write trusted_proxies: [private] (or networks)",
    "gid": "write group: NAME below the pool",
    "graceful_timeout": "write stop_timeout: 25s",
    "gzip": "write compress: true",
    "gzip_min_length": "leave it out: compress: true leaves answers below 1 KiB alone",
    "gzip_proxied": "leave it out: compress: true packs what pools and upstreams answer, too",
    "gzip_static": "leave it out: files: looks for NAME.br, NAME.zst and NAME.gz by itself",
    "gzip_types": "leave it out: compress: true knows which types are texts",
    "gzip_vary": "leave it out: Vary is always sent",
    "handle": "write a route: {path: /prefix/, …}",
    "handle_path": "write a route: {path: /prefix/, strip_prefix: /prefix, …}",
    "harakiri": "write timeout: 30s below the pool",
    "harakiri_graceful_timeout": "write kill_grace: 2s below the pool",
    "harakiri_verbose": "leave it out: the stack of an interrupted request is always in the error log",
    "header_down": "write response_headers: {set: {Name: value}}",
    "header_up": "write request_headers: {set: {Name: value}}",
    "hook_post_fork": "write post_fork: module:function below the pool",
    "hosts": "write host: NAME or a list of them",
    "http": "leave it out: listen, routes and pools stand at the top",
    "http_timeout": "write timeout: 30s below the pool",
    "if": "write what it asks in the route: headers, query, methods, client, path_regex",
    "include_path": "write include: sites/*.yaml",
    "keepalive": "write limits: {idle_timeout: 75s}",
    "keepalive_timeout": "write limits: {idle_timeout: 75s}",
    "keyfile": "write listen: {address: \":443\", tls: {certificate: FILE, key: FILE}}",
    "large_client_header_buffers": "write limits: {header_bytes: 32KiB}",
    "lazy_apps": "leave it out: each worker loads the application itself, unless preload: true",
    "least_conn": "write balance: least_connections below upstreams: NAME",
    "limit_conn": "write limits: {connections_per_client: 100}",
    "limit_conn_zone": "write limits: {connections_per_client: 100}; there is no zone to size",
    "limit_except": "write methods: GET in the route",
    "limit_req": "write rate_limit: {rate: 10/s, burst: 20} below the route",
    "limit_req_status": "leave it out: the answer is 429",
    "limit_req_zone": "write rate_limit: {rate: 10/s} below the route; there is no zone to size",
    "limit_request_field_size": "write limits: {header_bytes: 32KiB}",
    "limit_request_fields": "write limits: {headers: 100}",
    "limit_request_line": "write limits: {header_bytes: 32KiB}",
    "listen_queue": "leave it out: requests wait in queue: {limit: 1000, timeout: 10s}",
    "location": "write a route: {path: /prefix/, …}",
    "locations": "write routes: a list of {path: /prefix/, …}",
    "log_format": "write log: {format: trivet} (or combined, json)",
    "log_not_found": "leave it out: a file that is not there is no error",
    "logfile": "write log: {access: FILE, error: FILE}",
    "loglevel": "write log: {level: info}",
    "map": "write a route for each choice, by headers, query or host",
    "master": "leave it out: there always is one",
    "max_conns": "write max_connections: 100 below upstreams: NAME",
    "max_fails": "write fall: 3 below upstreams: NAME",
    "max_memory_per_child": "write max_memory: 300MiB below the pool",
    "max_requests_delta": "leave it out: max_requests retires workers up to a tenth sooner by itself",
    "max_requests_jitter": "leave it out: max_requests retires workers up to a tenth sooner by itself",
    "max_worker_lifetime": "write max_requests: 10000 or max_memory: 300MiB below the pool",
    "max_worker_lifetime_delta": "leave it out: max_requests retires workers up to a tenth sooner by itself",
    "maxconn": "write max_connections: 100 below upstreams: NAME",
    "maximum_requests": "write max_requests: 10000 below the pool",
    "memory_limit": "write max_memory: 300MiB below the pool",
    "module": "write app: module:callable",
    "passenger_max_pool_size": "write workers: {min: 1, max: 8} below the pool",
    "passenger_max_request_queue_size": "write queue: {limit: 1000} below the pool",
    "passenger_max_requests": "write max_requests: 10000 below the pool",
    "passenger_memory_limit": "write max_memory: 300MiB below the pool",
    "passenger_min_instances": "write workers: {min: 1, max: 8} below the pool",
    "pidfile": "leave it out: `trivet status` and `trivet stop` find the running site",
    "port": "write listen: 8000 (every address) or listen: 127.0.0.1:8000",
    "postfork": "write post_fork: module:function below the pool",
    "pre_fork": "leave it out: what stands at the top of a module runs before the fork with preload: true",
    "preload_app": "write preload: true below the pool",
    "processes": "write workers: below a pool, or proxy: {processes: 2}",
    "proxy_allow_ips": "write trusted_proxies: [private] (or networks)",
    "proxy_buffering": "leave it out: answers are passed on as they come and a slow client holds no worker",
    "proxy_cache": "leave it out: there is no cache of answers",
    "proxy_connect_timeout": "write connect_timeout: 5s below upstreams: NAME",
    "proxy_hide_header": "write response_headers: {remove: Name}",
    "proxy_http_version": "leave it out: upstreams are asked in HTTP/1.1",
    "proxy_intercept_errors": "write errors: {502: {file: page.html, intercept: true}}",
    "proxy_next_upstream": "write retry: {attempts: 2, on: [connect, 502]} below upstreams: NAME",
    "proxy_next_upstream_tries": "write retry: {attempts: 2} below upstreams: NAME",
    "proxy_pass": "write upstream: \"http://host:port\"",
    "proxy_pass_request_body": "leave it out: forward_auth never sends it",
    "proxy_protocol": "write listen: {address: \":80\", proxy_protocol: [networks]}",
    "proxy_read_timeout": "write timeout: 60s below the route, or read_timeout: 60s below upstreams: NAME",
    "proxy_redirect": "leave it out: Location is passed on as it is",
    "proxy_request_buffering": "write stream: true below the route to turn it off",
    "proxy_send_timeout": "write timeout: 60s below the route",
    "proxy_set_header": "write request_headers: {set: {Name: value}}; X-Forwarded-* and X-Real-IP are set",
    "proxy_ssl_name": "write tls: {name: api.example.com} below upstreams: NAME",
    "proxy_ssl_server_name": "leave it out: a server's name is always asked for",
    "proxy_ssl_trusted_certificate": "write tls: {ca: FILE} below upstreams: NAME",
    "proxy_ssl_verify": "write tls: {verify: false} below upstreams: NAME, if it must be",
    "pythonpath": "write python_path: [FOLDER] below the pool",
    "queue_timeout": "write queue: {timeout: 10s} below the pool",
    "raw_env": "write env: {NAME: value} below the pool",
    "real_ip_header": "write client_ip: X-Forwarded-For",
    "real_ip_recursive": "leave it out: it is always on",
    "reload_engine": "leave it out",
    "reload_extra_file": "leave it out",
    "reload_mercy": "write kill_grace: 2s below the pool (after a timeout), or stop_timeout: 25s",
    "reload_on_as": "write max_memory: 300MiB below the pool",
    "reload_on_rss": "write max_memory: 300MiB below the pool",
    "request_timeout": "write timeout: 30s below the pool",
    "respond_with": "write respond: text",
    "return": "write respond: 204, or redirect: {to: …}",
    "reverse_proxy": "write upstream: \"http://host:port\"",
    "rewrite": "write rewrite: {from: REGEX, to: /path} in a route, or redirect: {to: …}",
    "root": "write files: FOLDER in a route",
    "satisfy": "write two routes: client: NETWORK in the first, basic_auth: FILE in the second",
    "send_timeout": "write limits: {write_timeout: 30s}",
    "sendfile": "leave it out: files always go that way",
    "server": "leave it out: listen, routes and pools stand at the top; a route has host:",
    "server_name": "write host: NAME in a route",
    "server_tokens": "leave it out: no Server header is sent",
    "servers": "write upstreams: {NAME: {servers: […]}}",
    "set_real_ip_from": "write trusted_proxies: [networks]",
    "socket": "write listen: \"unix:/path/of.sock\"",
    "ssl_certificate": "write listen: {address: \":443\", tls: {certificate: FILE, key: FILE}}",
    "ssl_certificate_key": "write listen: {address: \":443\", tls: {certificate: FILE, key: FILE}}",
    "ssl_client_certificate": "write tls: {client: required, client_ca: FILE} below the listener",
    "ssl_protocols": "write tls: {profile: intermediate} (or modern, TLS 1.3 alone) below the listener",
    "ssl_session_cache": "leave it out: sessions go on in every process",
    "ssl_verify_client": "write tls: {client: required, client_ca: FILE} below the listener",
    "static": "write a route: {path: /static/, files: FOLDER}",
    "static_map": "write a route: {path: /static/, files: FOLDER}",
    "statsd_host": "leave it out: `trivet status --json` has the figures",
    "stub_status": "leave it out: `trivet status --json` has the figures",
    "tcp_nodelay": "leave it out: it is always on",
    "timeout_keep_alive": "write limits: {idle_timeout: 75s}",
    "try_files": "write files: {root: FOLDER, fallback: next} (or fallback: index.html)",
    "types": "write files: {root: FOLDER, types: {glb: model/gltf-binary}}",
    "uid": "write user: NAME below the pool",
    "umask": "leave it out",
    "url": "write path: or upstream:",
    "uwsgi_param": "leave it out: pools are told all of it, and mount: true sets SCRIPT_NAME",
    "uwsgi_pass": "write pool: NAME",
    "valid_referers": "write headers: {Referer: \"~^https://NAME/\"} in the route",
    "virtualenv": "leave it out: install trivet into the virtual environment",
    "worker_abort": "leave it out: an interrupted request raises trivet_backend.RequestTimeout",
    "worker_class": "leave it out: there is one kind of worker; write threads: 4 for threads",
    "worker_connections": "write limits: {connections: 10000}",
    "worker_int": "leave it out: an interrupted request raises trivet_backend.RequestTimeout",
    "worker_processes": "write proxy: {processes: 2}",
    "worker_reload_mercy": "write stop_timeout: 25s",
    "worker_tmp_dir": "leave it out: workers need no heartbeat file",
    "wsgi": "write app: module:callable",
    "wsgi_app": "write app: module:callable below a pool",
    "x_forwarded_for": "write trusted_proxies: [networks]; the headers are set by themselves",
}  # fmt: skip

# What means something else in one section, or is known there only: Caddy's and Traefik's words, too.
HERE: dict[type[Section], dict[str, str]] = {
    ForwardAuthKeys: {
        "address": 'write url: "http://host:port/path"',
        "auth_response_headers": "write copy: [NAME]",
        "authresponseheaders": "write copy: [NAME]",
        "copy_headers": "write copy: [NAME]",
        "trust_forward_header": "leave it out: trusted_proxies says who is believed",
        "trustforwardheader": "leave it out: trusted_proxies says who is believed",
        "uri": 'write the path into url: "http://host:port/path", or path: beside pool:',
    },
    RateLimitKeys: {
        "average": "write rate: 10/s",
        "delay": "leave it out: requests are never delayed",
        "events": "write rate: 10/s",
        "nodelay": "leave it out: requests are never delayed",
        "period": "write it into rate: 10/s, 400/m or 5000/d",
        "window": "write it into rate: 10/s, 400/m or 5000/d",
        "zone": "leave it out: there is no zone to size",
    },
    RedirectKeys: {"code": "write status: 301", "regex": "write path_regex: in the route, and {1} in to:"},
    RouteLogKeys: {"access": "write file: FILE (or log: FILE, log: off)"},
    RouteOptions: {
        "access_log": "write log: FILE (or off)",
        "cache": "write files: {root: FOLDER, cache: 30d}, or response_headers: {set: {Cache-Control: …}}",
        "cors": "write response_headers: {set: {Access-Control-Allow-Origin: …}}; docs/from-nginx.md, 53",
        "encode": "write compress: true",
        "error_log": "leave it out: there is one error log, of the site",
        "handle_errors": "write errors: {5xx: page.html}",
        "header": "write response_headers: {set: {Name: value}}, or headers: {Name: value} to match by it",
        "ipallowlist": "write allow: [networks]",
        "priority": "leave it out: the first route that matches answers",
        "rate": "write rate_limit: 10/s",
        "redir": "write redirect: {to: …}",
        "rule": "write what it asks in the route: host, path, headers, methods",
        "uri": "write path: /prefix/",
        "websocket": "leave it out: an upstream's 101 opens a tunnel",
        "websockets": "leave it out: an upstream's 101 opens a tunnel",
    },
    UpstreamKeys: {
        "address": 'write servers: ["http://127.0.0.1:9000"]',
        "backup": 'write servers: [{address: "http://127.0.0.1:9000", backup: true}]',
        "hash": "leave it out: there is no affinity; write balance: two_choices",
        "ip_hash": "leave it out: there is no affinity; write balance: two_choices",
        "keepalive": "leave it out: connections are kept by themselves",
        "keepalive_timeout": "leave it out: connections are kept by themselves",
        "server": 'write servers: ["http://127.0.0.1:9000"]',
        "timeout": "write response_timeout: 60s and read_timeout: 60s",
        "weight": 'write servers: [{address: "http://127.0.0.1:9000", weight: 2}]',
    },
}  # fmt: skip


def hint_for_key(key: str, section: type[Section], path: str) -> str:
    """What to write instead of an unknown key of a section that stands at `path`."""
    name = key.strip().lower().replace("-", "_")
    if section is RespondKeys:
        return 'to answer with JSON write respond: {json: {"…": "…"}}'
    here = [*keys_of(section), *section.later]
    if name in here:
        return f"write {name}"
    if section is RouteOptions and "routes" in homes(name):
        return "defaults: takes options only; write it in each route"
    for kind, known in HERE.items():
        if issubclass(section, kind) and name in known:
            return known[name]
    if issubclass(section, HeaderChanges) and name not in FOREIGN and "-" in key:
        return f"write set: {{{shown(key)}: …}}"
    if name in FOREIGN:
        return FOREIGN[name]
    if found := _elsewhere(name, path):
        return found
    if close := difflib.get_close_matches(name, here, n=1, cutoff=0.7):
        return f"write {close[0]}"
    if close := difflib.get_close_matches(name, FOREIGN, n=1, cutoff=0.88):
        return FOREIGN[close[0]]
    return f"the keys here are {', '.join(sorted(keys_of(section), key=_is_inherited(section)))}"


def _is_inherited(section: type[Section]) -> Callable[[str], bool]:
    """A section's own keys come first: of a route what it is for and what it does."""
    return lambda key: key not in section.__annotations__


def close_name(name: str, names: list[str]) -> str:
    """`write NAME` for the nearest name, or a list of the names there are."""
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"write {shown(close[0])}"
    if not names:
        return ""
    known = ", ".join(shown(one) for one in sorted(names)[:10])
    return f"there {'is' if len(names) == 1 else 'are'} {known}"


# Keys of one section that are written in another by mistake, where one home is clearly meant.
_PREFERRED = ("pools.NAME", "upstreams.NAME", "routes", "limits", "log", "spool", "proxy", "routes.files", "")


def _elsewhere(name: str, path: str) -> str:
    found = [home for home in homes(name) if home != path]
    for home in _PREFERRED:
        if home in found:
            return _place_in_words(name, home)
    return ""


def _place_in_words(name: str, home: str) -> str:
    if not home:
        return f"{name}: stands at the top of the file"
    if home == "routes":
        return f"{name}: stands in a route"
    if home == "pools.NAME":
        return f"{name}: stands below a pool (pools: {{NAME: {{{name}: …}}}})"
    if home == "upstreams.NAME":
        return f"{name}: stands below an upstream (upstreams: {{NAME: {{{name}: …}}}})"
    if home == "routes.files":
        return f"{name}: stands below files: {{root: …, {name}: …}}"
    return f"write {home}: {{{name}: …}}"
