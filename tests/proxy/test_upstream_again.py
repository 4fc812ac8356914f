"""What an upstream's connection may be made from, and be used for, a second time."""

import socket
import threading

import pytest
import trio

from tests.proxy.fakes_pool import PATIENCE, FakeClient
from tests.proxy.test_handler_upstream import (
    ask,
    fail,
    make_server,
    once_then_close,
    open_upstream,
    process,
)
from trivet_proxy.upstreams import names

__all__ = ["make_server", "open_upstream", "process"]


@pytest.mark.parametrize("how", ["hangs", "fails"])
async def test_a_resolver_that_is_gone_leaves_the_last_good_addresses(
    process, make_server, open_upstream, monkeypatch, nursery, how
):
    is_down = is_hanging = False
    let_go = threading.Event()
    asked = []

    def look_up(host, port, **_):
        asked.append(host)
        if is_down and how == "hangs":
            let_go.wait(PATIENCE)
        if is_down:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(names.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(names, "_TIMEOUT", 0.05)
    monkeypatch.setattr(names, "EVERY", 0.01)
    handler = open_upstream(make_server().text.replace("127.0.0.1", "backend.example"))
    nursery.start_soon(open_upstream.made[-1].run)
    for is_down in (False, True, True):
        is_hung = is_down and how == "hangs"  # then it is asked once, and not again meanwhile
        asked[:] = asked[:1] if is_hung and is_hanging else []
        is_hanging = is_hung
        with trio.fail_after(PATIENCE):
            while len(asked) < (1 if is_hung else 2) or (is_hung and not process.warnings):
                await trio.sleep(0.005)
        assert b"200 OK" in await ask(handler, FakeClient(process))
    let_go.set()
    assert len(process.warnings) == 1
    assert "its last 1 addresses are kept" in process.warnings[0]


async def test_a_streamed_body_that_went_to_a_dead_connection_is_not_sent_again(
    process, make_server, open_upstream
):
    """Even when all of it had come: it is kept nowhere."""
    server = make_server(once_then_close())
    handler = open_upstream(server)
    await ask(handler, FakeClient(process))
    raw = b"GET /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    error = await fail(handler, FakeClient(process, raw, stream=True))
    assert (error.status, error.why) == (502, "upstream_bad")
