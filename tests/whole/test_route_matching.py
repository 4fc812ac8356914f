"""Routes by method, header, query, client and expression, in a real proxy: who answers what."""

from pathlib import Path

from tests.whole.running import Site, running
from tests.whole.talking import Talk

CONFIG = r"""
proxy: {processes: 1}
trusted_proxies: [127.0.0.1]
log: {access: access.log}
routes:
  - {path: /api/, methods: [GET, POST], headers: {X-Version: "2"}, respond: api 2}
  - {path: /api/, methods: GET, respond: api 1}
  - {path: /api/, methods: DELETE, client: 10.0.0.0/8, respond: api gone}
  - {path_regex: '^/(\d{4})/(\d\d)/([\w-]+)/?$', redirect: "/blog/{3}?year={1}&month={2}"}
  - {path_regex: '^/(en|de)(/.*)?$', headers: {Cookie: "~(^|; )beta=1(;|$)"}, redirect: {to: "https://beta.{host}{2}"}}
  - {path: /search, query: {q: true, page: "~^\\d+$"}, respond: page}
  - {path: /search, query: {q: true}, respond: found}
  - {path: /search, respond: form}
  - {path: /inside/, client: [10.0.0.0/8, "2001:db8::/32"], respond: inside}
  - {path: /form/, methods: POST, respond: sent}
"""
TABLE = [
    # method, target, headers, the answer
    ("GET", "/api/x", {"X-Version": "2"}, "200 api 2"),
    ("GET", "/api/x", {"X-Version": "3"}, "200 api 1"),
    ("HEAD", "/api/x", {}, "200 "),
    ("POST", "/api/x", {"X-Version": "2"}, "200 api 2"),
    ("POST", "/api/x", {}, "405 GET, HEAD"),
    ("DELETE", "/api/x", {}, "405 GET, HEAD"),
    ("DELETE", "/api/x", {"X-Forwarded-For": "10.9.9.9"}, "200 api gone"),
    ("PUT", "/api/x", {"X-Forwarded-For": "10.9.9.9"}, "405 DELETE, GET, HEAD"),
    ("OPTIONS", "/api/x", {}, "405 GET, HEAD"),
    ("GET", "/2026/11/a-post/", {}, "302 /blog/a-post?year=2026&month=11"),
    ("GET", "/2026/1/a-post/", {}, "404"),
    ("GET", "/de/a%20b%0d", {"Cookie": "beta=1"}, "400"),
    ("GET", "/de/a%20b", {"Cookie": "x=y; beta=1"}, "302 https://beta.a.example/a%20b"),
    ("GET", "/de", {"Cookie": "beta=1"}, "302 https://beta.a.example"),
    ("GET", "/de", {"Cookie": "beta=10"}, "404"),
    ("GET", "/search?q=x&page=2", {}, "200 page"),
    ("GET", "/search?q=x&page=%32", {}, "200 page"),
    ("GET", "/search?q=x&page=two", {}, "200 found"),
    ("GET", "/search?p=x", {}, "200 form"),
    ("GET", "/inside/x", {}, "404"),
    ("GET", "/inside/x", {"X-Forwarded-For": "::ffff:10.1.2.3"}, "200 inside"),
    ("GET", "/inside/x", {"X-Forwarded-For": "2001:db8::7"}, "200 inside"),
    ("GET", "/inside/x", {"X-Forwarded-For": "10.1.2.3, 198.51.100.7"}, "404"),
    ("GET", "/inside", {"X-Forwarded-For": "10.1.2.3"}, "308 /inside/"),
    ("GET", "/inside", {}, "404"),
    ("POST", "/form/", {}, "200 sent"),
    ("GET", "/form", {}, "404"),
    ("GET", "/" + "x" * 9000, {}, "414"),
]


def said(site: Site, method: str, target: str, headers: dict[str, str]) -> str:
    """Status, and the place, the allowed methods or the body."""
    fields = "".join(f"{name}: {value}\n" for name, value in headers.items())
    with Talk(site.address) as talk:
        talk.say(f"{method} {target} HTTP/1.1\nHost: a.example\n{fields}\n")
        answer = talk.answer(method)
    more = answer.headers.get("location") or answer.headers.get("allow") or answer.body.decode()
    return f"{answer.status} {more}"


def test_who_answers_what(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG) as site:
        for method, target, headers, expected in TABLE:
            found = said(site, method, target, headers)
            assert found.startswith(expected), (method, target, headers, found)
        # A reload takes questions away as it brings them.
        site.configure(CONFIG.replace("methods: POST, respond: sent", "respond: sent"))
        assert site.command("reload").returncode == 0
        assert said(site, "GET", "/form/", {}) == "200 sent"
        assert said(site, "GET", "/form", {}) == "308 /form/"
