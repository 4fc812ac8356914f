"""Redirects: where to, and that nobody else decides it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from trivet_common.http1.errors import HttpError
from trivet_common.http1.request import HeadLimits, RequestHead, RequestReader
from trivet_proxy.handlers.redirect import redirect_handler, redirect_to_slash


@dataclass
class FakeClient:
    address: str = "192.0.2.7"
    scheme: str = "https"
    port: int = 443


@dataclass
class FakeRequest:
    head: RequestHead
    client: FakeClient = field(default_factory=FakeClient)
    request_id: str = "abc123"
    groups: tuple[bytes | None, ...] = (b"a&b/c d", None)


class FakeWriter:
    async def send(self, status, headers, body=b"", reason=None):
        self.status, self.headers, self.body = status, headers, body


def head_of(
    target: bytes, version: bytes = b"1.1", host: bytes = b"host: shop.example:8443\r\n"
) -> RequestHead:
    method = b"OPTIONS" if target == b"*" else b"GET"
    head = RequestReader(HeadLimits(32768, 100)).feed(
        method + b" " + target + b" HTTP/" + version + b"\r\n" + host + b"\r\n"
    )
    assert head is not None
    return head


async def follow(handler, target: bytes, **how) -> tuple[int, bytes]:
    writer = FakeWriter()
    await handler(FakeRequest(head_of(target, **how)), writer)
    ((name, location),) = writer.headers
    assert name == b"location"
    assert writer.body == b""
    return writer.status, location


TABLE = [
    # to, target, status, location
    ("https://example.com{uri}", b"/a%20b?x=1", 308, b"https://example.com/a%20b?x=1"),
    ("https://example.com{uri}", b"/", 302, b"https://example.com/"),
    ("https://example.com{uri}", b"*", 302, b"https://example.com/"),
    ("https://{host}{uri}", b"/x", 302, b"https://shop.example/x"),
    ("{scheme}://{host}:{port}{path}?{query}", b"/x?a=b", 302, b"https://shop.example:443/x?a=b"),
    ("/new{path}", b"/a%3Fb", 302, b"/new/a%3Fb"),
    ("/new{path}", b"/a%25b%c3%a9", 302, b"/new/a%25b%C3%A9"),
    ("/who/{client}/{request_id}", b"/", 302, b"/who/192.0.2.7/abc123"),
    ("/login?next={path}", b"/a&b=c#", 302, None),
    ("/straße/{nothing}", b"/", 302, b"/stra%C3%9Fe/%7Bnothing%7D"),
    ("{uri}", b"//evil.example/", 302, b"/evil.example/"),
    ("{uri}", b"/%2f%2fevil.example/", 302, b"/%2f%2fevil.example/"),
    ("{path}", b"/%2f%2fevil.example/", 302, b"/evil.example/"),
    ("{path}", b"/%5cevil.example/", 302, b"/%5Cevil.example/"),
    ("{uri}", b"/\\evil.example/", 302, None),
    ("/{path}", b"/evil.example/", 302, b"/evil.example/"),
    ("{path}", b"http://shop.example:8443//evil.example/", 302, b"/evil.example/"),
    ("//cdn.example{uri}", b"/x", 302, b"//cdn.example/x"),
    (
        "https://example.com/?q={query}",
        b"/?a=%0d%0aSet-Cookie:x",
        302,
        b"https://example.com/?q=a=%0d%0aSet-Cookie:x",
    ),
    ("/sum?of={query}", b"/?a=b&c=%20d", 303, b"/sum?of=a=b&c=%20d"),
    ("/new/{1}{2}", b"/", 301, b"/new/a&b/c%20d"),
    ("/find?q={1}&x={2}", b"/", 307, b"/find?q=a%26b/c%20d&x="),
    ("/find?q=\\{3}", b"/", 307, b"/find?q=%5C"),
    ("/login?next={uri}", b"/a%20b?c=d&e", 302, b"/login?next=/a%2520b%3Fc%3Dd%26e"),
    ("/login?next={path}", b"/a&b=%2b", 302, b"/login?next=/a%26b%3D%2B"),
    ("https://example.com/?q={query}", b'/?a={}|`^"', 302, None),
]


@pytest.mark.parametrize(("to", "target", "status", "location"), TABLE)
async def test_redirects(to, target, status, location):
    handler = redirect_handler(to, status)
    if location is None:
        with pytest.raises(HttpError):  # the gate refuses such a target before
            await follow(handler, target)
    else:
        assert await follow(handler, target) == (status, location)


async def test_a_host_that_nobody_named():
    with pytest.raises(HttpError) as raised:
        await follow(redirect_handler("https://{host}{uri}", 302), b"/", version=b"1.0", host=b"")
    assert raised.value.status == 400
    assert await follow(redirect_handler("{uri}", 302), b"/x", version=b"1.0", host=b"") == (302, b"/x")


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/x", b"/x/"),
        (b"/x?a=b&c", b"/x/?a=b&c"),
        (b"//evil.example", b"/evil.example/"),
        (b"/%2f%2fevil.example", b"/evil.example/"),
        (b"/%5Cevil.example", b"/%5Cevil.example/"),
        (b"/a%3Fb%23c%25d", b"/a%3Fb%23c%25d/"),
        (b"/caf%E9", b"/caf%E9/"),
        (b"/x?next=%0d%0aLocation:%20y", b"/x/?next=%0d%0aLocation:%20y"),
    ],
)
async def test_to_the_slash(target, location):
    assert await follow(redirect_to_slash, target) == (308, location)
