"""request_headers, and response_headers with placeholders: what goes on, what is answered, no forgeries."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet_common.config import HeaderChanges
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import HeadLimits, RequestHead, RequestReader
from trivet_proxy.forwarded import build_upstream_head
from trivet_proxy.gates.headers import depends_on_request, request_headers_gate, response_headers_gate
from trivet_proxy.request import Client, Request

STRANGER = Client("192.0.2.7", "192.0.2.7", "http", 80, "192.0.2.7", False)
SECURE = Client("192.0.2.7", "192.0.2.7", "https", 443, "192.0.2.7", False)
FRIEND = Client("198.51.100.9", "10.0.0.1", "http", 80, "198.51.100.9, 10.0.0.1", True)


def parse(*lines: bytes, target: bytes = b"/a%20b/c?d=e") -> RequestHead:
    raw = b"\r\n".join([b"GET %b HTTP/1.1" % target, b"host: example.com:8080", *lines, b"", b""])
    head = RequestReader(HeadLimits()).feed(raw)
    assert head is not None
    return head


def request_of(
    *lines: bytes, client: Client = STRANGER, target: bytes = b"/a%20b/c?d=e", groups: Any = ()
) -> Request:
    request = Request(parse(*lines, target=target), None, client, "abc", None, None)  # type: ignore[arg-type]
    request.groups = groups
    return request


class Seen:
    """A handler that keeps what it was given: the head as an upstream would read it."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, bytes]] = []
        self.shape: Any = None
        self.upstream: RequestHead | None = None

    async def __call__(self, request: Request, writer: Any) -> None:
        self.asked = list(request.head.headers)
        self.shape = writer.shape
        self.upstream = RequestReader(HeadLimits()).feed(build_upstream_head(request, b""))


async def passed(changes: HeaderChanges, request: Request, goes_on: bool = True) -> dict[bytes, list[bytes]]:
    """Fields by name, as the upstream gets them (or as our own files are asked)."""
    seen = Seen()
    before = request.head, request.hidden, request.added
    gate = request_headers_gate(changes, seen, goes_on=goes_on)
    await gate(request, SimpleNamespace(shape=None))  # type: ignore[arg-type]
    assert (request.head, request.hidden, request.added) == before, "the next route sees what the client said"
    assert seen.upstream is not None
    fields: dict[bytes, list[bytes]] = {}
    for name, value in seen.upstream.headers if goes_on else seen.asked:
        fields.setdefault(name, []).append(value)
    return fields


TABLE: list[tuple[HeaderChanges, tuple[bytes, ...], bytes, list[bytes] | None]] = [
    # changes, what the client sends, a name, its values at the upstream
    (HeaderChanges(set=(("X-A", "1"),)), (), b"x-a", [b"1"]),
    (HeaderChanges(set=(("X-A", "1"),)), (b"X-A: 2", b"x-a: 3"), b"x-a", [b"1"]),
    (HeaderChanges(set=(("X-A", "1"), ("X-A", "2"))), (b"x-a: 3",), b"x-a", [b"1", b"2"]),
    (HeaderChanges(add=(("X-A", "1"),)), (b"x-a: 2",), b"x-a", [b"2", b"1"]),
    (HeaderChanges(remove=("X-A",)), (b"x-a: 2",), b"x-a", None),
    (HeaderChanges(remove=("Accept-Encoding",)), (b"accept-encoding: gzip",), b"accept-encoding", None),
    (HeaderChanges(remove=("Authorization", "Cookie")), (b"cookie: a=b",), b"cookie", None),
    (HeaderChanges(default=(("X-A", "1"),)), (), b"x-a", [b"1"]),
    (HeaderChanges(default=(("X-A", "1"),)), (b"x-a: 2",), b"x-a", [b"2"]),
    (HeaderChanges(remove=("X-A",), default=(("X-A", "1"),)), (b"x-a: 2",), b"x-a", [b"1"]),
    (HeaderChanges(set=(("X-A", "1"),), default=(("X-A", "2"),)), (), b"x-a", [b"1"]),
    # A client's Connection field takes away its own fields, and not what is set here.
    (HeaderChanges(set=(("X-A", "1"),)), (b"connection: x-a",), b"x-a", [b"1"]),
    (HeaderChanges(default=(("X-A", "1"),)), (b"x-a: 2", b"connection: x-a"), b"x-a", [b"1"]),
    (HeaderChanges(add=(("X-A", "1"),)), (b"x-a: 2", b"connection: x-a"), b"x-a", [b"1"]),
    # What strangers may not say, the operator may.
    (HeaderChanges(set=(("X-Remote-User", "bob"),)), (b"x-remote-user: root",), b"x-remote-user", [b"bob"]),
    (
        HeaderChanges(default=(("X-Client-IP", "{client}"),)),
        (b"x-client-ip: 1.1.1.1",), b"x-client-ip", [b"192.0.2.7"],
    ),
    (
        HeaderChanges(set=(("X-Original-URI", "{uri}"),)),
        (b"x-original-uri: /x",), b"x-original-uri", [b"/a%20b/c?d=e"],
    ),
    # Placeholders.
    (
        HeaderChanges(set=(("X-A", "{scheme}://{host}:{port}{path}?{query}"),)),
        (), b"x-a", [b"http://example.com:80/a%20b/c?d=e"],
    ),
    (
        HeaderChanges(set=(("X-A", '{"id": "{request_id}", "g": "{1}{2}{9}"}'),)),
        (), b"x-a", [b'{"id": "abc", "g": "t%0D%0A%22"}'],
    ),
    (HeaderChanges(set=(("Host", "inner.example:81"),)), (), b"x-forwarded-host", [b"example.com:8080"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "lines", "name", "values"), TABLE)
async def test_what_goes_on(
    changes: HeaderChanges, lines: tuple[bytes, ...], name: bytes, values: list[bytes] | None
) -> None:
    assert (await passed(changes, request_of(*lines, groups=(b't\r\n"', None)))).get(name) == values


async def test_another_host_is_what_the_upstream_is_asked_for() -> None:
    seen = Seen()
    gate = request_headers_gate(HeaderChanges(set=(("host", "Inner.example:81"),)), seen, goes_on=True)
    await gate(request_of(), SimpleNamespace(shape=None))  # type: ignore[arg-type]
    assert seen.upstream is not None
    assert (seen.upstream.authority, seen.upstream.host) == (b"inner.example:81", "inner.example")


async def test_what_a_trusted_peer_says_is_there() -> None:
    changes = HeaderChanges(default=(("X-Client-IP", "{client}"),))
    fields = await passed(changes, request_of(b"x-client-ip: 203.0.113.9", client=FRIEND))
    assert fields[b"x-client-ip"] == [b"203.0.113.9"]


async def test_what_another_gate_has_added_can_be_removed_and_set() -> None:
    request = request_of(b"x-user: root")
    request.hidden, request.added = frozenset([b"x-user"]), ((b"x-user", b"bob"), (b"x-groups", b"a"))
    fields = await passed(HeaderChanges(set=(("X-User", "{client}"),), remove=("X-Groups",)), request)
    assert fields[b"x-user"] == [b"192.0.2.7"]
    assert b"x-groups" not in fields
    kept = await passed(HeaderChanges(default=(("X-User", "nobody"), ("X-Other", "1"))), request)
    assert kept[b"x-user"] == [b"bob"]
    assert kept[b"x-other"] == [b"1"]


async def test_our_own_files_see_them_too() -> None:
    changes = HeaderChanges(
        set=(("Accept-Encoding", "identity"),), remove=("Range",), default=(("If-None-Match", '"{1}"'),)
    )
    request = request_of(b"range: bytes=0-1", b"accept-encoding: gzip", b"accept: a", groups=(b"v",))
    assert await passed(changes, request, goes_on=False) == {
        b"host": [b"example.com:8080"],
        b"accept": [b"a"],
        b"accept-encoding": [b"identity"],
        b"if-none-match": [b'"v"'],
    }


async def test_a_handler_that_fails_leaves_nothing_changed() -> None:
    async def fails(request: Request, writer: Any) -> None:
        raise refuse("denied")

    request = request_of(b"x-a: 1")
    before = request.head, request.hidden, request.added
    gate = request_headers_gate(HeaderChanges(set=(("X-A", "2"), ("Host", "b"))), fails, goes_on=True)
    with pytest.raises(HttpError):
        await gate(request, None)  # type: ignore[arg-type]
    assert (request.head, request.hidden, request.added) == before


@given(st.binary(max_size=40), st.binary(max_size=40), st.text(max_size=20))
def test_nothing_a_client_sends_ends_a_line(group: bytes, query: bytes, text: str) -> None:
    request = request_of(groups=(group, group))
    request.head.query, request.head.host, request.request_id = query, text, text
    request.head.raw_path = request.head.path = b"/" + group
    request.client = Client(text, None, "http", 80, "", False)
    value = "{scheme} {host} {port} {path} {query} {uri} {client} {request_id} {1} {2} {3}"
    shapes: list[Any] = []

    async def answer(request: Request, writer: Any) -> None:
        shapes.append(writer.shape)

    gate = response_headers_gate(HeaderChanges(set=(("X-A", value),)), None, answer)
    with pytest.raises(StopIteration):
        gate(request, SimpleNamespace(shape=None)).send(None)  # type: ignore[attr-defined, arg-type]
    ((name, filled),) = shapes[0]([])
    assert name == b"x-a"
    assert filled.isascii()
    assert filled.decode().isprintable()
    assert not set(filled) & set(b'"\\<>')


RESPONSE = HeaderChanges(
    set=(("X-Request-Id", "{request_id}"),),
    add=(("Link", "<https://{host}/{1}>; rel=canonical"),),
    remove=("X-Powered-By",),
    default=(("X-Path", "{path}"), ("Cache-Control", "no-store")),
)
ANSWER = ((b"x-powered-by", b"x"), (b"cache-control", b"public"), (b"x-request-id", b"z"))


@pytest.mark.parametrize(("client", "hsts"), [(STRANGER, []), (SECURE, [b"max-age=9"])])
async def test_answers(client: Client, hsts: list[bytes]) -> None:
    seen = Seen()
    writer = SimpleNamespace(shape="another route's")
    await response_headers_gate(RESPONSE, "max-age=9", seen)(
        request_of(client=client, groups=(b"x",)),
        writer,  # type: ignore[arg-type]
    )
    for _ in range(2):
        assert list(seen.shape(ANSWER)) == [
            (b"cache-control", b"public"),
            (b"x-request-id", b"abc"),
            (b"link", b"<https://example.com/x>; rel=canonical"),
            (b"x-path", b"/a%20b/c"),
            *((b"strict-transport-security", value) for value in hsts),
        ]


def test_only_what_says_something_of_the_request_needs_it() -> None:
    assert depends_on_request(RESPONSE)
    assert depends_on_request(HeaderChanges(default=(("X-A", "{1}"),)))
    assert not depends_on_request(HeaderChanges(set=(("Report-To", '{"group": "a"}'),), remove=("X",)))
