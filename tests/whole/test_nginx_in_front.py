"""Stock nginx in front of our pool, through `pool.sock`: `trivet backend` alone, with no proxy of ours."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import running
from tests.whole.strangers import free_port, stranger, try_flask_site
from tests.whole.talking import EXAMPLES, Talk, ask

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
# One process without a change of user, and nothing outside its own folder: it need not be root.
CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  upstream pool {{ server unix:{folder}/run/site/pool.sock; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://pool;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
    location /real/ {{
      proxy_pass http://pool/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""
CONFIG = f"""
trusted_proxies: [unix]
pools:
  site: {{app: "app:app", directory: {EXAMPLES / "flask_site"}, workers: 2, threads: 2,
         env: {{SITE_DATA: HERE}}}}
"""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port nginx listens on."""
    if NGINX is None:
        pytest.skip("there is no nginx on this machine (Debian: apt install nginx-light)")
    folder: Path = tmp_path_factory.mktemp("nginx")
    port = free_port()
    (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=port))
    command = [NGINX, "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", f"{folder}/nginx.conf"]
    with running(folder, CONFIG.replace("HERE", str(folder)), "backend") as site:
        assert f"at unix:{folder}/run/site/pool.sock\n" in site.said()
        with stranger(command, folder, ("127.0.0.1", port)):
            yield port


def test_the_flask_site_through_nginx(front: int) -> None:
    try_flask_site(f"http://127.0.0.1:{front}")
    with Talk(("127.0.0.1", front)) as talk:
        for n in range(20):
            assert talk.get(f"/sleep?seconds=0&n={n}").status == 200


def test_the_client_is_who_nginx_says(front: int) -> None:
    # Another loopback address than the server's own, so that neither can be taken for the other.
    with Talk(("127.0.0.1", front), source="127.0.0.7") as talk:
        seen = talk.get("/whoami", "X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6").json()
        assert (seen["client"], seen["scheme"], seen["host"]) == ("127.0.0.7", "http", "a.example")
        seen = talk.get("/real/whoami", "X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6").json()
        assert (seen["client"], seen["scheme"], seen["host"]) == ("127.0.0.7", "https", "a.example")


def test_head_and_not_found_through_nginx(front: int) -> None:
    assert ask(("127.0.0.1", front), "/", method="HEAD").status == 200
    assert ask(("127.0.0.1", front), "/nothing").status == 404
