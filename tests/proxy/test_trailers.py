"""dispatch/trailers.py: who gets trailers, and which; through relay, as they reach a client."""

import pytest
import trio

from tests.proxy.fakes_pool import PATIENCE, FakeClient
from tests.proxy.test_answer import answer, process, upstream

__all__ = ["process", "upstream"]

WANTS = b"GET /a HTTP/1.1\r\nhost: h\r\nconnection: te\r\nte: gzip, trailers\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: X-Sum, Set-Cookie, Server\r\n\r\n"
END = b"0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\nServer: x\r\nX-Accel-Redirect: /etc\r\nConnection: x\r\n\r\n"


@pytest.mark.parametrize("in_one_go", [True, False])
async def test_for_who_wants_them(process, upstream, nursery, in_one_go):
    client = FakeClient(process, WANTS)
    if in_one_go:
        upstream.send(HEAD + b"3\r\nabc\r\n" + END)
        await answer(upstream, client)
        got = client.read()
    else:
        nursery.start_soon(answer, upstream, client)
        upstream.send(HEAD + b"3\r\nabc\r\n")
        got = await client.read_until(b"abc\r\n")
        upstream.send(END)
        got += await client.read_until(b"\r\n\r\n")
    assert got.endswith(b"3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n")
    assert b"\r\ntrailer: x-sum\r\n" in got
    assert upstream.fate == ["released"]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: h\r\nte: deflate\r\n\r\n",
        b"GET /a HTTP/1.0\r\nhost: h\r\nte: trailers\r\n\r\n",
        b"HEAD /a HTTP/1.1\r\nhost: h\r\nte: trailers\r\n\r\n",
    ],
)
async def test_for_nobody_else(process, upstream, raw):
    client = FakeClient(process, raw)
    upstream.send(HEAD + (b"" if raw.startswith(b"HEAD") else b"3\r\nabc\r\n" + END))
    with trio.fail_after(PATIENCE):
        await answer(upstream, client)
    assert b"x-sum: 7" not in client.read()


async def test_what_belongs_to_the_server_s_connection_stays_there(process, upstream):
    """RFC 9110, 7.6.1; and what is no name is announced to nobody."""
    client = FakeClient(process, WANTS)
    head = HEAD.replace(b"X-Sum,", b"X-Sum, X-Hop, no name,").replace(
        b"OK\r\n", b"OK\r\nconnection: X-Hop\r\n"
    )
    upstream.send(head + b"3\r\nabc\r\n" + END.replace(b"0\r\n", b"0\r\nX-Hop: 1\r\n"))
    await answer(upstream, client)
    got = client.read()
    assert b"\r\ntrailer: x-sum\r\n" in got
    assert got.endswith(b"abc\r\n0\r\nx-sum: 7\r\n\r\n")
