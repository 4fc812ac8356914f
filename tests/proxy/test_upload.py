"""dispatch/upload.py: how a body is framed for an upstream, and whose time its sending takes."""

import socket
from types import SimpleNamespace

import pytest
import trio

from tests.proxy.fakes_pool import PATIENCE, FakeClient, Process
from trivet_proxy.dispatch.link import Link
from trivet_proxy.dispatch.upload import Upload, framing_line
from trivet_proxy.wire import Wire, WireClosed

POST = b"POST /a HTTP/1.1\r\nhost: h\r\n"


@pytest.fixture
async def process(tmp_path, nursery):
    process = Process(tmp_path)
    nursery.start_soon(process.deadlines.run)
    yield process
    process.close()


@pytest.fixture
async def link(process):
    ours, theirs = socket.socketpair()
    link = Link(Wire(ours), process.deadlines, "test")
    theirs.setblocking(False)
    link_end = SimpleNamespace(link=link, server=theirs)
    yield link_end
    link.discard()
    theirs.close()


@pytest.mark.parametrize(
    ("raw", "is_read", "line"),
    [
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", False, b""),
        (POST + b"content-length: 0\r\n\r\n", False, b"\r\ncontent-length: 0"),
        (POST + b"content-length: 2\r\n\r\nab", True, b"\r\ncontent-length: 2"),
        (POST + b"content-length: 2\r\n\r\n", False, b"\r\ncontent-length: 2"),
        (POST + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", True, b"\r\ncontent-length: 2"),
        (POST + b"transfer-encoding: chunked\r\n\r\n", False, b"\r\ntransfer-encoding: chunked"),
    ],
)
async def test_framing(process, raw, is_read, line):
    request = FakeClient(process, raw).request
    if is_read:
        await request.body.read_all(None)
    assert framing_line(request) == line


async def test_nothing_is_left_of_what_went_out_whole(process, link):
    request = FakeClient(process, POST + b"content-length: 2\r\n\r\nab").request
    await request.body.read_all(None)
    assert Upload.of(request, link.link, b"head", b"ab", 6, None) is None
    assert not link.link.is_sending
    upload = Upload.of(request, link.link, b"head", b"ab", 3, None)
    assert link.link.is_sending
    await upload.run()
    assert link.server.recv(100) == b"dab"
    assert not link.link.is_sending
    assert not upload.is_spent


async def test_a_file_is_sent_from_its_beginning_each_time(process, link):
    body = bytes(range(256)) * 512
    request = FakeClient(process, POST + b"content-length: %d\r\n\r\n%b" % (len(body), body)).request
    await request.body.read_all(None)
    assert request.body.in_memory is None
    for _ in range(2):
        upload = Upload.of(request, link.link, b"head", b"", 4, None)
        got = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload.run)
            with trio.fail_after(PATIENCE):
                while len(got) < len(body):
                    await trio.lowlevel.wait_readable(link.server)
                    got += link.server.recv(1 << 20)
        assert got == body


async def test_the_clients_slowness_is_not_the_upstreams(process, link, nursery):
    client = FakeClient(process, POST + b"content-length: 2\r\n\r\n", stream=True)
    link.link.start_clock(0.05)
    upload = Upload.of(client.request, link.link, b"", b"", 0, 0.05)
    nursery.start_soon(upload.run)
    await trio.sleep(0.15)
    assert link.link.wire.fd >= 0
    client.theirs.sendall(b"ab")
    with pytest.raises(WireClosed, match="upstream_timeout"), trio.fail_after(PATIENCE):
        await link.link.wire.receive()
    assert upload.is_spent


async def test_a_client_that_fails_closes_the_link_with_the_reason(process, link):
    client = FakeClient(process, POST + b"content-length: 20\r\n\r\nab", stream=True)
    client.leave()
    upload = Upload.of(client.request, link.link, b"", b"", 0, None)
    with trio.fail_after(PATIENCE):
        await upload.run()
    assert link.link.wire.ended_by == "bad_body:truncated"


async def test_an_upstream_that_stops_reading_may_still_answer(process, link):
    client = FakeClient(process, POST + b"content-length: 2\r\n\r\nab", stream=True)
    link.server.send(b"answer")
    link.server.shutdown(socket.SHUT_RD)
    upload = Upload.of(client.request, link.link, b"", b"", 0, None)
    assert await upload.during(lambda: heard(link))


async def test_a_body_that_cannot_be_sent_on_is_ended_for_who_still_reads(process, link, monkeypatch):
    async def send(wire, data):
        raise WireClosed("peer")  # ENOBUFS: the connection lives

    monkeypatch.setattr(Wire, "send", send)
    client = FakeClient(process, POST + b"content-length: 20\r\n\r\nab", stream=True)
    await Upload.of(client.request, link.link, b"head", b"", 0, None).run()
    assert link.server.recv(100) == b""
    assert link.link.is_sending
    link.server.send(b"answer")
    assert await heard(link)


async def heard(link):
    return await link.link.wire.receive() == b"answer"


async def test_what_goes_wrong_with_the_answer_comes_through_as_it_is(process, link):
    client = FakeClient(process, POST + b"content-length: 2\r\n\r\n", stream=True)
    upload = Upload.of(client.request, link.link, b"", b"", 0, None)

    async def fail():
        raise WireClosed("deadline")

    with pytest.raises(WireClosed, match="deadline"):
        await upload.during(fail)
