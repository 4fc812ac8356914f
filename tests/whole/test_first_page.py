"""The smallest file: one pool, and everything goes to it."""

import urllib.request
from pathlib import Path

from tests.whole.running import running

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']} {environ['HTTP_HOST']}".encode()]
"""


def test_one_pool_and_no_route(tmp_path: Path) -> None:
    with running(tmp_path, "pools: {web: {app: hello, workers: 1}}\n", hello=HELLO) as site:
        with urllib.request.urlopen(f"{site.url}/anything", timeout=5) as answer:
            assert answer.status == 200
            assert answer.read() == f"127.0.0.1 http 127.0.0.1:{site.port}".encode()
        assert list(site.status()["pools"]) == ["web"]
