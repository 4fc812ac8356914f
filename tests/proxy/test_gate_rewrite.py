"""strip_prefix and rewrite: the target that goes on, and what nobody can make of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trivet_common.config.settings_match import Regex
from trivet_common.config.settings_rewrite import Rewrite
from trivet_common.http1.errors import HttpError
from trivet_common.http1.request import HeadLimits, RequestHead, RequestReader
from trivet_proxy.forwarded import build_upstream_head
from trivet_proxy.gates.rewrite import rewrite_gate
from trivet_proxy.request import Client, Request

STRANGER = Client("192.0.2.7", "192.0.2.7", "http", 80, "192.0.2.7", False)
FRIEND = Client("198.51.100.9", "10.0.0.1", "http", 80, "198.51.100.9, 10.0.0.1", True)


def request_of(target: bytes, *lines: bytes, client: Client = STRANGER, groups: Any = ()) -> Request:
    method = b"OPTIONS" if target == b"*" else b"GET"
    raw = b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"host: example.com", *lines, b"", b""])
    head = RequestReader(HeadLimits(64 * 1024, 100)).feed(raw)
    assert head is not None
    request = Request(head, None, client, "abc", None, None)  # type: ignore[arg-type]
    request.groups = groups
    return request


async def go_on(request: Request, prefix: str | None, rewrite: Rewrite | None) -> RequestHead:
    """What the handler was asked; as seen by itself, and the same by an upstream."""
    seen: list[tuple[RequestHead, bytes]] = []

    async def keep(request: Request, writer: Any) -> None:
        seen.append((request.head, build_upstream_head(request, b"")))

    before = request.head, request.hidden, request.added, request.groups
    try:
        await rewrite_gate(prefix, rewrite, keep)(request, None)  # type: ignore[arg-type]
    finally:
        assert (request.head, request.hidden, request.added, request.groups) == before
    ((head, sent),) = seen
    upstream = RequestReader(HeadLimits(256 * 1024, 100)).feed(sent)
    assert upstream is not None
    assert (upstream.target, upstream.path, upstream.query) == (head.target, head.path, head.query)
    return upstream


STRIPPED = [
    # prefix, target, what goes on, its path
    ("/api", b"/api/x", b"/x", b"/x"),
    ("/api", b"/api/", b"/", b"/"),
    ("/api", b"/api", b"/", b"/"),
    ("/api", b"/api?a=b", b"/?a=b", b"/"),
    ("/api", b"/api/x/?a=%20b&c", b"/x/?a=%20b&c", b"/x/"),
    ("/api", b"/apis/x", b"/apis/x", b"/apis/x"),
    ("/api", b"/x", b"/x", b"/x"),
    ("/api", b"/x/api/y", b"/x/api/y", b"/x/api/y"),
    ("/api/v1", b"/api/v1/x", b"/x", b"/x"),
    ("/api", b"/api/a%2Fb%3f", b"/a%2Fb%3f", b"/a/b?"),
    # However the prefix itself is written.
    ("/api", b"/%61pi/x", b"/x", b"/x"),
    ("/api", b"//api//x%20y", b"/x%20y", b"/x y"),
    ("/api", b"/api%2fx", b"/x", b"/x"),
    ("/caf\u00e9", b"/caf%C3%A9/x", b"/x", b"/x"),
    ("/caf\u00e9", b"/caf%c3%a9/x", b"/x", b"/x"),
    # What is left is a path of this host, never another host.
    ("/api", b"/api//evil.example/", b"/evil.example/", b"/evil.example/"),
    ("/api", b"/api/%2fevil.example", b"/%2fevil.example", b"/evil.example"),
    ("/api", b"/api/%5cevil.example", b"/%5cevil.example", b"/\\evil.example"),
    ("/api", b"*", b"*", b"*"),
]


@pytest.mark.parametrize(("prefix", "target", "text", "path"), STRIPPED)
async def test_prefixes(prefix: str, target: bytes, text: bytes, path: bytes) -> None:
    head = await go_on(request_of(target), prefix, None)
    assert (head.target, head.path) == (text, path)


@pytest.mark.parametrize(
    ("target", "lines", "client", "said"),
    [
        (b"/api/x", (), STRANGER, b"/api"),
        (b"/api/x", (b"x-forwarded-prefix: /evil",), STRANGER, b"/api"),
        (b"/x", (b"x-forwarded-prefix: /evil",), STRANGER, None),
        (b"/api/x", (b"x-forwarded-prefix: /shop",), FRIEND, b"/shop/api"),
        (b"/api/x", (b"x-forwarded-prefix: /a", b"x-forwarded-prefix: /b, /shop"), FRIEND, b"/shop/api"),
        (b"/x", (b"x-forwarded-prefix: /shop",), FRIEND, b"/shop"),
        (b"/api/x", (b"x-forwarded-prefix: https://evil",), FRIEND, b"/api"),
        (b"/api/x", (b"x-forwarded-prefix: //evil",), FRIEND, b"/api"),
        (b"/api/x", (b"x-forwarded-prefix: /a b",), FRIEND, b"/api"),
        (b"/api/x", (b"connection: x-forwarded-prefix",), STRANGER, b"/api"),
    ],
)
async def test_who_answers_hears_of_the_prefix(
    target: bytes, lines: tuple[bytes, ...], client: Client, said: bytes | None
) -> None:
    head = await go_on(request_of(target, *lines, client=client), "/api", None)
    assert [value for name, value in head.headers if name == b"x-forwarded-prefix"] == [said] * (
        said is not None
    )


def rewrite(to: str, regex: str | None = None, longest: int = 8192) -> Rewrite:
    return Rewrite(to, None if regex is None else Regex(regex, 9, longest))


REWRITTEN = [
    # to, from, target, what goes on
    ("/new{path}", None, b"/a%20b", b"/new/a%20b"),
    ("/new{path}", None, b"/a?x=1&y", b"/new/a?x=1&y"),
    ("/new{path}?", None, b"/a?x=1", b"/new/a"),
    ("/new?a=b", None, b"/a?x=1", b"/new?a=b"),
    ("/new{uri}", None, b"/a%2fb?x=1", b"/new/a%2fb?x=1"),
    ("/new?a=b&{query}", None, b"/a?x=1&y", b"/new?a=b&x=1&y"),
    ("/{1}", r"^/old/(.*)$", b"/old/a/b%20c?x", b"/a/b%20c?x"),
    ("/{1}", r"^/old/(.*)$", b"/older/a", b"/older/a"),
    ("/{2}/{1}", r"^/([a-z]+)/([0-9]+)$", b"/a/1", b"/1/a"),
    ("/x{3}", r"^/([a-z]+)", b"/a", b"/x"),
    ("/show?id={1}", r"^/item/(.*)$", b"/item/a%26admin=1%2b", b"/show?id=a%26admin%3D1%2B"),
    ("/index.php?q={path}", None, b"/a&b", b"/index.php?q=/a%26b"),
    # A group is a piece of the decoded path, and is encoded again: % and ? stay data.
    ("/{1}", r"^/old/(.*)$", b"/old/%253F%3F%23", b"/%253F%3F%23"),
    # Never another host.
    ("{path}", None, b"//evil.example/x", b"/evil.example/x"),
    ("/{1}", r"^/old(.*)$", b"/old//evil.example", b"/evil.example"),
    ("/{1}", r"^/old/(.*)$", b"/old/%5cevil.example", b"/%5Cevil.example"),
]


@pytest.mark.parametrize(("to", "regex", "target", "text"), REWRITTEN)
async def test_rewrites(to: str, regex: str | None, target: bytes, text: bytes) -> None:
    assert (await go_on(request_of(target), None, rewrite(to, regex))).target == text


async def test_groups_of_the_route_where_it_has_no_expression_of_its_own() -> None:
    request = request_of(b"/a/b", groups=(b"t t", None))
    assert (await go_on(request, None, rewrite("/{1}/{2}x"))).target == b"/t%20t/x"
    assert (await go_on(request, None, rewrite("/{1}", r"^/(.)"))).target == b"/a"


async def test_the_prefix_goes_first() -> None:
    head = await go_on(request_of(b"/api/a?b"), "/api", rewrite("/v2{path}", r"^/a$"))
    assert head.target == b"/v2/a?b"
    assert head.get(b"x-forwarded-prefix") == b"/api"


@pytest.mark.parametrize(
    ("to", "regex", "target", "why"),
    [
        ("/x/.{1}", r"^/a(.*)$", b"/a./b", "bad_head:dot_segment"),
        ("/x/.{1}", r"^/a(.*)$", b"/a/b", "bad_head:dot_segment"),
        ("/%{1}", r"^/a/(.*)$", b"/a/2e", "bad_head:dot_segment"),
        ("/.%{1}/b", r"^/a/(.*)$", b"/a/2e", "bad_head:dot_segment"),
        ("/x%{1}", r"^/a/(.*)$", b"/a/00", "bad_head:target_control"),
        ("/x%{1}", r"^/a/(.*)$", b"/a/zz", "bad_head:target_escape"),
        ("/{1}{1}{1}{1}{1}{1}{1}{1}{1}", r"^/a/(.*)$", b"/a/" + b"x" * 8000, "bad_head:target_long"),
        ("/{1}", r"^/a/(.*)$", b"/a/" + b"x" * 9000, "bad_head:target_long"),
    ],
)
async def test_what_is_made_is_judged_as_a_clients_own(to: str, regex: str, target: bytes, why: str) -> None:
    with pytest.raises(HttpError) as raised:
        await go_on(request_of(target), None, rewrite(to, regex))
    assert raised.value.why == why


@given(
    st.text("/.%0123456789abcdef\\;?#&=+ \x7f\u00e9", max_size=20),
    st.sampled_from(["/{1}", "{path}", "/x/{1}/y", "/x?{query}", "/x?a={1}", "{uri}", "/.{1}", "/%{1}"]),
    st.sampled_from([r"^/(.*)$", r"(.)", r"/([^/]*)", None]),
    st.sampled_from([None, "/a", "/0"]),
)
def test_whatever_is_sent_no_result_climbs_or_names_a_host(
    path: str, to: str, regex: str | None, prefix: str | None
) -> None:
    raw = b"/" + path.encode("utf-8")
    try:
        request = request_of(raw)
    except HttpError:
        assume(False)
    try:
        go_on(request, prefix, rewrite(to, regex)).send(None)
        raise AssertionError("it waits for nothing")
    except HttpError as error:
        why, head = error.why, None
    except StopIteration as stopped:
        why, head = "", stopped.value
    if head is None:
        assert why.startswith("bad_head:")
        return
    assert head.target.startswith(b"/")
    assert not head.target.startswith(b"//")
    assert not {b".", b".."} & set(head.path.split(b"/"))
    assert b"\0" not in head.path
