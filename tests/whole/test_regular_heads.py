"""What one half writes the other half knows again: each request of our proxy's is one of a regular client's.

Written differently, heads would be read anew each time: nothing would fail, and all would be slower.
"""

import pytest

from tests.whole.running import running
from tests.whole.talking import Talk

SHOW = """
import sys
def application(environ, start_response):
    environ["wsgi.input"].read()
    frame = sys._getframe()
    while frame.f_code.co_name != "_handle":
        frame = frame.f_back
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [type(frame.f_locals["head"]).__name__.encode()]
"""
CONFIG = """
trusted_proxies: [127.0.0.0/8]
routes:
  - {path: /shop/, mount: true, timeout: 7s, pool: web}
  - {path: /added, request_headers: {set: {X-Added: "{client}", User-Agent: us}}, pool: web}
  - {path: /stream, stream: true, pool: web}
  - {path: /, pool: web}
pools: {web: {app: show, workers: 1}}
"""
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml",
    "Accept-Language: en",
    "Accept-Encoding: gzip, deflate",
    "Connection: keep-alive",
    "Cookie: a=b; c=d",
    "X-Forwarded-For: 203.0.113.9, 127.0.0.2",
    "X-Request-Id: from-the-balancer",
)


@pytest.mark.parametrize(
    "asked",
    [
        "GET / HTTP/1.1\nHost: a.example\n\n",
        "GET /x?a=b HTTP/1.1\nHost: a.example\n" + "\n".join(BROWSER) + "\n\n",
        "GET /shop/x HTTP/1.1\nHost: a.example\n\n",
        "GET /added HTTP/1.1\nHost: a.example\nX-Added: 1\n\n",
        "POST / HTTP/1.1\nHost: a.example\nContent-Length: 3\n\nabc",
        "POST / HTTP/1.1\nHost: a.example\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n",
        "POST /stream HTTP/1.1\nHost: a.example\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n",
    ],
    ids=["bare", "browser", "mount", "added", "length", "chunked", "streamed"],
)
def test_a_head_of_our_proxys_is_a_regulars(asked: str, site: tuple[str, int]) -> None:
    with Talk(site) as talk:
        assert talk.say(asked).answer().body == b"RegularsHead"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory):
    with running(tmp_path_factory.mktemp("regulars"), CONFIG, show=SHOW) as site:
        yield site.address
