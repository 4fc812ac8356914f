"""upstreams/interim.py: what before an answer is passed on, and to whom."""

import pytest

from tests.proxy.fakes_pool import FakeClient
from tests.proxy.test_answer import process
from trivet_common.http1.errors import HttpError
from trivet_common.http1.response import parse_response_head
from trivet_proxy.forwarded import ResponseSieve
from trivet_proxy.upstreams.interim import Interim

__all__ = ["process"]

HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nserver: x\r\ntrivet-file: 1\r\n\r\n"


def interim(client, head, protocol=None):
    made = Interim(client.writer, ResponseSieve(lambda name: None), protocol)
    return made(parse_response_head(head))


async def test_hints_go_on_without_what_no_client_sees(process):
    client = FakeClient(process)
    assert not interim(client, HINTS)
    assert client.read() == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


async def test_our_own_100_is_not_passed_on(process):
    client = FakeClient(process)
    assert not interim(client, b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.read() == b""


async def test_http10_knows_none(process):
    client = FakeClient(process, b"GET / HTTP/1.0\r\n\r\n")
    assert not interim(client, HINTS)
    assert client.read() == b""


@pytest.mark.parametrize(
    ("protocol", "said", "is_it"),
    [
        (None, b"websocket", False),
        (b"websocket", b"WebSocket", True),
        (b"websocket", b"h2c", False),
        (b"websocket", b"websocket, h2c", False),
    ],
)
async def test_only_the_switch_that_was_asked_for(process, protocol, said, is_it):
    client = FakeClient(process)
    head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: " + said + b"\r\n\r\n"
    assert interim(client, head, protocol) == is_it
    assert client.read() == b""


async def test_a_client_that_has_gone_is_no_fault_of_the_server(process):
    client = FakeClient(process)
    client.wire.close("peer")
    with pytest.raises(HttpError) as caught:
        interim(client, HINTS)
    assert caught.value.why == "client_left"
