"""What is remembered of heads changes no answer, whoever had the same head before.

Cold is a request, or an answer, with a value that no other has; warm is one that others had before.
"""

import re
from collections.abc import Iterator
from itertools import count

import pytest

from tests.whole.running import Site, running
from tests.whole.talking import Talk

TRUSTED, ANYBODY = "127.0.0.2", "127.0.0.1"
APPLICATION = """
import json

def application(environ, start_response):
    what = environ["PATH_INFO"].rpartition("/")[2]
    tag = environ["QUERY_STRING"]
    if what == "asked":
        body = environ["wsgi.input"].read().decode("latin-1")
        said = {name: str(value) for name, value in environ.items() if name.isupper()}
        body = json.dumps([said, body], sort_keys=True).encode()
    else:
        body = b"<p>" + b"b" * (2000 if what == "large" else 20)
    headers = [("Content-Type", "text/html"), ("ETag", '"1"'), ("X-Tag", tag)]
    if what == "cookie":
        headers.append(("Set-Cookie", "a=" + tag))
    if what == "dated":
        headers.append(("Date", "Sun, 06 Nov 1994 08:49:37 GMT"))
    headers.append(("Content-Length", str(len(body))))
    status = {"gone": "410 Gone", "none": "204 No Content", "same": "304 Not Modified"}.get(what, "200 OK")
    if what in ("none", "same"):
        headers.pop()
        return start_response(status, headers) and []
    start_response(status, headers)
    return [body]
"""
CONFIG = """
trusted_proxies: [127.0.0.2/32]
proxy: {processes: 1}
routes:
  - {path: /set/, request_headers: {set: {X-Set: "{client}"}, remove: [Cookie]}, pool: web}
  - {path: /mount/, mount: true, pool: web}
  - {path: /shaped/, response_headers: {set: {X-Shape: one}, remove: [ETag]}, pool: web}
  - {path: /asked-for/, response_headers: {set: {X-Client: "{client}"}}, pool: web}
  - {path: /packed/, compress: true, pool: web}
  - {path: /held/, errors: {4xx: {json: {held: "{status}"}, intercept: true}}, pool: web}
  - {path: /, pool: web}
pools: {web: {app: app, workers: 1}}
"""
LINES = [
    "GET /asked",
    "POST /set/asked",
    "GET /mount/asked",
    "PUT /%61sked?x",
    "DELETE //asked",
    "GET http://a.example:81/asked",
]
FIELDS = [
    "",
    "Cookie: a=b\nCookie: c=d\nUser-Agent: u\nReferer: r\nAuthorization: Basic YTpi\n",
    "X-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: b.example\nX-Real-IP: ::1\n",
    "X-SSL-Client-Verify: SUCCESS\nX-Client-IP: 192.0.2.1\nTrivet-User: eve\nX-Request-Id: from-a-peer\n",
    "Connection: x-hop, cookie, host\nX-Hop: 1\nCookie: a=b\nTE: trailers\n",
    "Content-Length: 3\nExpect: 100-continue\n",
    "Transfer-Encoding: chunked\nConnection: keep-alive\n",
]
BODIES = {"Content-Length": "abc", "Transfer-Encoding": "3\nabc\n0\n\n"}
ANSWERS = ["small", "large", "cookie", "dated", "gone", "none", "same"]
PREFIXES = ["/", "/shaped/", "/asked-for/", "/packed/", "/held/"]
ASKED = [
    ("GET", "HTTP/1.1", ""),
    ("GET", "HTTP/1.1", "Accept-Encoding: gzip\n"),
    ("HEAD", "HTTP/1.1", ""),
    ("GET", "HTTP/1.0", ""),
    ("GET", "HTTP/1.0", "Connection: keep-alive\n"),
    ("GET", "HTTP/1.1", "Connection: close\n"),
    ("GET", "HTTP/1.1", "TE: trailers\nConnection: TE\n"),
]
_number = count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("remembered"), CONFIG, app=APPLICATION) as site:
        yield site
        assert "Traceback" not in site.said()


def said(site: Site, source: str, request: str, method: str) -> object:
    """All of the answer but what is another one each time."""
    with Talk(site.address, source=source) as talk:
        talk.say(request)
        answer = talk.answer(method)
        while answer.status == 100:
            answer = talk.answer(method)
    headers = {name: value for name, value in answer.headers.items() if name != "date" or "1994" in value}
    body = re.sub(rb'"(HTTP_)?X_(REQUEST_ID|COLD)": "[^"]*"', b"", answer.body)
    return answer.version, answer.status, answer.reason, headers, body


@pytest.mark.parametrize(
    "fields", FIELDS, ids=["none", "cookies", "proxied", "forged", "nominated", "length", "chunked"]
)
def test_a_request_says_what_it_says_whoever_had_its_fields_before(fields: str, site: Site) -> None:
    asked = [(line, source) for line in LINES for source in (ANYBODY, TRUSTED)]
    body = next((body for name, body in BODIES.items() if name in fields), "")

    def ask(line: str, source: str, cold: str) -> object:
        whole = f"{line} HTTP/1.1\nHost: a.example:81\n{fields}X-Cold: {cold}\n\n{body}"
        return said(site, source, whole, line.split()[0])

    expected = [ask(line, source, f"c{next(_number):04d}") for line, source in asked]
    for _ in range(2):
        assert [ask(line, source, "known") for line, source in asked] == expected
    assert [ask(line, source, "known") for line, source in reversed(asked)] == expected[::-1]


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_is_given_as_it_was_whoever_had_its_head_before(what: str, site: Site) -> None:
    asked = [(prefix, *how) for prefix in PREFIXES for how in ASKED]

    def ask(prefix: str, method: str, version: str, fields: str, tag: str) -> str:
        line = f"{method} {prefix}{what}?{tag} {version}"
        return repr(said(site, ANYBODY, f"{line}\nHost: a.example\n{fields}\n", method)).replace(tag, "tag")

    expected = [ask(*one, f"t{next(_number):04d}") for one in asked]
    assert ["x-shape" in said for said in expected] == [one[0] == "/shaped/" for one in asked]
    tag = f"t{next(_number):04d}"
    for _ in range(2):
        assert [ask(*one, tag) for one in asked] == expected
    assert [ask(*one, tag) for one in reversed(asked)] == expected[::-1]
