"""H1 to H14 on the wire: who the client is, which names reach the application, what it may say itself."""

import json
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Answer, Talk, ask, logged

SHOW = """
import json, os
BAD = {
    "status-cr": ("200 OK\\r\\nX: y", []), "status-lf": ("200 O\\nK", []), "status-nul": ("200 O\\0K", []),
    "status-short": ("20 OK", []), "status-word": ("OK", []), "status-bytes": (b"200 OK", []),
    "status-101": ("101 Switching Protocols", []), "status-wide": ("200 \\u20ac", []),
    "value-crlf": ("200 OK", [("X-A", "a\\r\\nSet-Cookie: b=c")]),
    "value-lf": ("200 OK", [("X-A", "a\\nb: c")]),
    "value-cr": ("200 OK", [("X-A", "a\\rb")]), "value-nul": ("200 OK", [("X-A", "a\\0b")]),
    "value-wide": ("200 OK", [("X-A", "\\u20ac")]), "value-bytes": ("200 OK", [("X-A", b"a")]),
    "name-crlf": ("200 OK", [("X\\r\\nSet-Cookie: b", "c")]), "name-colon": ("200 OK", [("X-A: b", "c")]),
    "name-space": ("200 OK", [("X A", "c")]), "name-empty": ("200 OK", [("", "c")]),
    "name-wide": ("200 OK", [("X-\\u20ac", "c")]),
    "coding": ("200 OK", [("Transfer-Encoding", "chunked")]),
    "upgrade": ("200 OK", [("Upgrade", "websocket")]), "trailer": ("200 OK", [("Trailer", "X")]),
    "length-twice": ("200 OK", [("Content-Length", "2"), ("Content-Length", "3")]),
    "length-plus": ("200 OK", [("Content-Length", "+2")]),
    "length-list": ("200 OK", [("Content-Length", "2, 2")]),
    "length-word": ("200 OK", [("Content-Length", "two")]),
    "length-long": ("200 OK", [("Content-Length", "9" * 20)]),
    "ours": ("200 OK", [("Trivet-Claim", "stale")]),
}
def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/bad":
        start_response(*BAD[query])
        return [b"split"]
    if path == "/orders":
        start_response("200 OK", [(name, query) for name in ("X-Accel-Redirect", "X-Sendfile")])
        return [b"mine"]
    if path == "/more":
        start_response("200 OK", [("Content-Length", "4")])
        return iter([b"four", b"HTTP/1.1 200 OK\\r\\n\\r\\n"])
    if path == "/less":
        start_response("200 OK", [("Content-Length", "40")])
        return iter([b"four", b"four"])
    if path.startswith("/status/"):
        start_response(path[8:] + " X", [("Content-Length", "4")] if query else [])
        return [b"body"]
    start_response("200 OK", [("Content-Type", "application/json")])
    shown = {k: v for k, v in environ.items() if isinstance(v, str)}
    return [json.dumps(shown | {"pid": os.getpid()}).encode()]
"""
CONFIG = """
log: {access: access.log, error: error.log}
proxy: {processes: 1}
routes:
  - {host: a.example, path: /folder/, files: ./public}
  - {host: a.example, path: /to/, redirect: {to: "https://new.example{uri}"}}
  - {host: a.example, path: /here/, redirect: {to: "{path}"}}
  - {host: a.example, path: /deep/er/, pool: web}
  - {host: a.example, pool: web}
  - {host: b.example, respond: "this is b"}
pools: {web: {app: show, workers: 1}}
"""
BAD = re.findall(r'"([a-z0-9-]+)": \(', SHOW)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    (folder / "public" / "inner").mkdir(parents=True)
    (folder / "public" / "evil.example" / "x").mkdir(parents=True)
    with running(folder, CONFIG, show=SHOW) as site:
        yield site


def shown(site: Site, *headers: str, target: str = "/a") -> dict[str, Any]:
    answer = ask(site.address, target, *headers)
    assert answer.status == 200, answer
    found: dict[str, Any] = json.loads(answer.body)
    return found


# What reaches the application.


def test_h1_no_name_becomes_another_ones_variable(site: Site) -> None:
    """Only letters, digits and dashes: every other character of a token is dropped with its field."""
    odd = [c for c in "!#$%&'*+.^_`|~" + string.ascii_letters if not c.isalnum()]
    forged = [f"X{c}Forwarded{c}For: 6.6.6.6" for c in odd] + [f"X-Auth{c}User: 6.6.6.6" for c in odd]
    seen = shown(site, *forged, "Content_Length: 66", "Transfer_Encoding: 6.6.6.6", "X-Auth-User: me")
    assert seen["HTTP_X_AUTH_USER"] == "me"
    assert seen["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert "CONTENT_LENGTH" not in seen
    assert "6.6.6.6" not in json.dumps(seen)
    assert all(
        set(name) <= set(string.ascii_uppercase + string.digits + "_") for name in seen if "HTTP_" in name
    )


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_h2_connection_takes_nothing_of_ours_away(case: Any, site: Site) -> None:
    ours = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"]
    names = [*ours, "x-request-id", "host", "content-length", "transfer-encoding", "trivet-claim"]
    listed = case(", ".join(names))
    with Talk(site.address) as talk:
        talk.say(f"POST /a HTTP/1.1\nHost: a.example\nConnection: {listed}\nConnection: {listed}\n")
        seen = talk.say("X-Forwarded-For: 6.6.6.6\nContent-Length: 5\n\nhello").answer().json()
    for name in [*ours, "x-request-id"]:
        assert seen["HTTP_" + name.upper().replace("-", "_")], name
    assert (seen["HTTP_X_REAL_IP"], seen["HTTP_HOST"], seen["CONTENT_LENGTH"]) == (
        "127.0.0.1",
        "a.example",
        "5",
    )


def test_h2_what_it_names_of_the_clients_ends_at_the_proxy(site: Site) -> None:
    seen = shown(
        site, "Connection: X-Debug, Authorization", "X-Debug: 1", "Authorization: Basic x", "X-Kept: 1"
    )
    assert ("HTTP_X_DEBUG" in seen, "HTTP_AUTHORIZATION" in seen, seen["HTTP_X_KEPT"]) == (False, False, "1")


def test_h3_nobody_says_who_it_is(site: Site) -> None:
    names = [
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
        "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-User", "X-Forwarded-Ssl",
        "X-Forwarded-Scheme", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP",
        "CF-Connecting-IP", "X-Cluster-Client-IP", "X-Original-URL", "X-Rewrite-URL", "X-Original-URI",
        "X-Original-Host", "X-Scheme", "X-Url-Scheme", "Front-End-Https", "X-SSL-Client-Verify",
        "X-SSL-Client-S-DN", "X-Remote-User", "X-Request-Id", "Trivet-Claim", "Trivet-Mount",
        "Trivet-Queued", "Trivet-Stream",
    ]  # fmt: skip
    seen = shown(
        site, *(f"{name}: forged.6.6" for name in names), *(f"{name.upper()}: forged.6.6" for name in names)
    )
    assert "forged" not in json.dumps(seen)
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["SCRIPT_NAME"]) == ("127.0.0.1", "http", "")


def test_h3_rubbish_from_a_trusted_peer_is_no_address(tmp_path: Path) -> None:
    config = "trusted_proxies: [127.0.0.1]\npools: {web: {app: show, workers: 1}}\n"
    with running(tmp_path, config, show=SHOW) as site:
        for rubbish in ("nonsense", "6.6.6.6, <script>", "6.6.6.6, ", "6.6.6.6, 999.1.1.1", "unknown", "::g"):
            assert shown(site, f"X-Forwarded-For: {rubbish}")["REMOTE_ADDR"] == "127.0.0.1"
        assert shown(site, "X-Forwarded-For: 192.0.2.7")["REMOTE_ADDR"] == "192.0.2.7"


def test_h4_h5_no_orders_to_programs_or_servers(site: Site) -> None:
    names = ("Proxy", "PROXY", "X-Accel-Redirect", "X-Accel-Mapping", "X-Sendfile", "X-Sendfile-Type")
    seen = shown(site, *(f"{name}: forged" for name in names))
    assert "forged" not in json.dumps(seen)


@pytest.mark.parametrize(
    "where", ["/protected/../../etc/passwd", "//evil.example/x", "/%2e%2e/etc/passwd", "/orders"]
)
def test_h6_an_order_of_the_application_never_leaves(where: str, site: Site) -> None:
    """Files are not sent for it yet; what it says is for us alone in any case."""
    answer = ask(site.address, f"/orders?{where}")
    assert (answer.status, answer.body) == (200, b"mine")
    assert not [name for name in answer.headers if name.startswith(("x-accel", "x-sendfile"))]


def test_h7_a_name_nobody_serves_is_nobodys(site: Site) -> None:
    for host in ("c.example", "a.example.evil", "evil.a.example", "127.0.0.1", "a-example"):
        with Talk(site.address) as talk:
            assert talk.say(f"GET /a HTTP/1.1\nHost: {host}\n\n").answer().status == 404
    with Talk(site.address) as talk:
        assert talk.say("GET /a HTTP/1.1\nHost: B.Example.:80\n\n").answer().body == b"this is b"


def test_h8_one_name_everywhere(site: Site) -> None:
    with Talk(site.address) as talk:
        talk.say("GET http://A.example:80/seen?h8 HTTP/1.1\nHost: a.EXAMPLE\n\n")
        seen = talk.answer().json()
    assert seen["SERVER_NAME"] == "a.example"
    assert seen["HTTP_HOST"].split(":")[0] == seen["HTTP_X_FORWARDED_HOST"].split(":")[0] == "a.example"
    assert (seen["PATH_INFO"], seen["RAW_URI"]) == ("/seen", "/seen?h8")
    assert line_with(site, "/seen?h8")["host"].split(":")[0] == "a.example"
    with Talk(site.address) as talk:  # routed by the name that is passed on, not by the other
        assert talk.say("GET http://b.example/ HTTP/1.1\nHost: a.example\n\n").answer().status == 400
    with Talk(site.address) as talk:
        assert talk.say("GET http://b.example/ HTTP/1.1\nHost: b.example\n\n").answer().body == b"this is b"


# What an application may say.


def test_h10_what_would_split_an_answer_is_500_and_the_worker_lives(site: Site) -> None:
    assert len(BAD) > 25
    pid = shown(site)["pid"]
    for case in BAD:
        with Talk(site.address) as talk:
            answer = talk.get(f"/bad?{case}")
            assert (answer.status, "set-cookie" in answer.headers) == (500, False), case
            assert b"split" not in answer.body, case
            assert talk.get("/after").json()["pid"] == pid, case
    errors = (site.folder / "error.log").read_text()
    for case in BAD:
        assert line_with(site, f"/bad?{case}")["why"] == "app_error", case
        assert f"/bad?{case}" in errors


def test_h11_more_than_the_length_is_cut_and_is_no_second_answer(site: Site) -> None:
    with Talk(site.address) as talk:
        assert talk.get("/more").body == b"four"
        assert talk.get("/after").status == 200


def test_h11_less_than_the_length_is_seen_to_be(site: Site) -> None:
    with Talk(site.address) as talk:
        talk.say("GET /less HTTP/1.1\nHost: a.example\n\n")
        assert talk.head()[3]["content-length"] == "40"
        assert talk.file.read() == b"fourfour"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("query", ["", "?length"])
def test_h11_no_body_where_there_is_none(status: int, query: str, site: Site) -> None:
    with Talk(site.address) as talk:
        assert talk.get(f"/status/{status}{query}").status == status
        assert talk.get("/after").status == 200
        assert talk.get("/status/200?length", method="HEAD").headers["content-length"] == "4"
        assert talk.get("/after").status == 200


# Redirects and logs.

EVIL = (
    "/folder//evil.example/x", "//evil.example/x", "/folder/%2f%2fevil.example/x", "/folder/inner",
    "///evil.example", "/deep/er", "//deep/er", "/deep//er", "/to/%2f%2fevil.example",
    "/to//evil.example/..;/x", "/here//evil.example", "/here/%2f/evil.example",
    "/folder//evil.example/x?//evil.example", "/folder/%5cevil.example",
    "/folder/inner%0d%0aSet-Cookie:%20a=b", "/to/x%0d%0aSet-Cookie:%20a=b", "/here/%0aX",
    "/folder/inner%3f", "//folder/evil.example", "/folder///evil.example", "/%2f/evil.example/%2e%2e",
    "/folder/inner?%0d%0aX:%20y",
)  # fmt: skip


@pytest.mark.parametrize("target", EVIL)
def test_h13_no_redirect_leads_to_another_host(target: str, site: Site) -> None:
    answer = ask(site.address, target)
    location = answer.headers.get("location", "")
    assert "set-cookie" not in answer.headers
    assert "\\" not in location
    assert not location.startswith("//")
    assert location == "" or location.startswith(("/", "https://new.example/"))
    assert location == "" or 300 < answer.status < 400


def test_h14_one_line_a_request_whatever_is_in_it(site: Site) -> None:
    log = site.folder / "access.log"
    agents = [
        'a" 200 1 "',
        "\xff\xfe\xc3",
        "\x80\x9b31m",
        "a\tb",
        "\\x0a\\n",
        "%0a",
        "x" * 15_000,
        "'; DROP",
        "\xe2\x80\xae",
    ]
    before = len(lines_of(log))
    answers: list[Answer] = [
        ask(site.address, f"/h14/{n}?%0a%1b", f"User-Agent: {a}", f"Referer: {a}")
        for n, a in enumerate(agents)
    ]
    assert {answer.status for answer in answers} == {200}
    with Talk(site.address) as talk:
        assert (
            talk.say(b"GET /h14/esc HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[31m\r\n\r\n").answer().status
            == 400
        )
    ask(site.address, "/h14/last")
    wait_until(lambda: "/h14/last" in log.read_text(), 5, "the log")
    lines = lines_of(log)[before:]
    assert len([line for line in lines if "/h14/" in line]) == len(agents) + 1
    odd = {character for line in lines for character in line if not " " <= character <= "~"}
    assert odd == set()
    assert all(logged(line)["status"] == "200" for line in lines if "/h14/" in line)
    assert max(map(len, lines)) < 100_000


def lines_of(log: Path) -> list[str]:
    text = log.read_bytes().decode("latin-1")
    return text.split("\n")[:-1]


def line_with(site: Site, word: str) -> dict[str, str]:
    log = site.folder / "access.log"
    wait_until(lambda: f" {word} " in log.read_text(), 5, f"a line with {word}")
    return logged(next(line for line in lines_of(log) if f" {word} " in line))
