"""WebSockets through us to servers that are not ours, with a client that is not ours, plain and over TLS."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.whole.over import Choice, client_context
from tests.whole.running import Site, running, wait_until
from tests.whole.strangers import free_port, module, stranger
from tests.whole.talking import logged

pytestmark = pytest.mark.usefixtures("over")

ECHO = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        return await send({"type": "http.response.body", "body": b"ok"})
    await receive()
    if scope["path"] == "/no":
        return await send({"type": "websocket.close", "code": 1008})
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    await send({"type": "websocket.send", "text": headers["x-forwarded-for"]})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("bytes") == b"bye":
            return await send({"type": "websocket.close", "code": 4000, "reason": "as you wish"})
        await send({"type": "websocket.send", "bytes": message["bytes"]})
"""
CONFIG = """
stop_timeout: 1s
proxy: {processes: 2}
log: {access: access.log}
upstreams: {sockets: {servers: ["http://127.0.0.1:PORT"]}}
routes:
  - {path: /idle/, upstream: sockets, tunnel_timeout: 500ms}
  - {path: /pool/, pool: web}
  - {path: /, upstream: sockets}
pools: {web: {app: "wsgiref.simple_server:demo_app", workers: 1}}
"""
MEBIBYTE = 1 << 20
Heard = TypeVar("Heard")
SERVERS = {
    "uvicorn": ["--port", "PORT", "--log-level", "warning", "--app-dir", "FOLDER", "echo:app"],
    "hypercorn": ["--bind", "127.0.0.1:PORT", "--log-level", "warning", "--websocket-ping-interval", "60",
                  "echo:app"],
}  # fmt: skip


@contextmanager
def echoing(folder: Path, server: str = "uvicorn") -> Iterator[Site]:
    (folder / "echo.py").write_text(ECHO)
    port = free_port()
    words = [word.replace("PORT", str(port)).replace("FOLDER", str(folder)) for word in SERVERS[server]]
    command = module(server, *words)
    here = ("127.0.0.1", port)
    with stranger(command, folder, here), running(folder, CONFIG.replace("PORT", str(port))) as site:
        yield site


@pytest.fixture(scope="module", params=["uvicorn", pytest.param("hypercorn", marks=pytest.mark.slow)])
def site(
    request: pytest.FixtureRequest, over: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with echoing(tmp_path_factory.mktemp("site"), request.param) as site:
        yield site
        assert "Traceback" not in site.said()


def talk(site: Site, say: Callable[[ClientConnection], Awaitable[Heard]], path: str = "/ws") -> Heard:
    """One connection. Not the blocking client: it has two threads for a socket, which ssl of 3.11 cannot."""

    async def visit() -> Heard:
        async with asyncio.timeout(30), open_one(site, path) as one:
            return await say(one)

    return asyncio.run(visit())


def open_one(site: Site, path: str = "/ws") -> connect:
    host, port = site.address
    secure = Choice.is_secure
    return connect(
        f"ws{'s' * secure}://{host}:{port}{path}",
        ssl=client_context() if secure else None,
        max_size=4 * MEBIBYTE,
        subprotocols=["chat"],  # type: ignore[list-item]
        proxy=None,
    )


def lines(site: Site, target: str) -> list[dict[str, str]]:
    """Of the access log, once there are some."""

    def found() -> list[dict[str, str]]:
        every = map(logged, (site.folder / "access.log").read_text().splitlines())
        return [line for line in every if line["target"] == target]

    return wait_until(found, 5, f"a line about {target}")


def test_a_mebibyte_both_ways_at_once(site: Site) -> None:
    """Nobody waits until the other has read: here lies no more than a piece for each direction."""
    sent = [os.urandom(MEBIBYTE) for _ in range(8)]

    async def say(one: ClientConnection) -> list[bytes | str]:
        assert await one.recv() == "127.0.0.1"
        assert one.subprotocol == "chat"

        async def speak() -> None:
            for message in sent:
                await one.send(message)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak())
            return [await one.recv() for _ in sent]

    assert talk(site, say) == sent
    line = lines(site, "/ws")[-1]
    assert (line["status"], line["method"]) == ("101", "GET")
    assert int(line["sent"]) > 8 * MEBIBYTE
    assert line["upstream"].startswith("http://127.0.0.1:")
    assert "why" not in line


def test_twenty_clients_at_once(site: Site) -> None:
    said = [os.urandom(100_000) for _ in range(20)]

    async def visit(word: bytes) -> list[bytes | str]:
        async with open_one(site) as one:
            heard = [await one.recv()]
            for _ in range(5):
                await one.send(word)
                heard.append(await one.recv())
            return heard

    async def visits() -> list[list[bytes | str]]:
        async with asyncio.timeout(60):
            return await asyncio.gather(*map(visit, said))

    assert asyncio.run(visits()) == [["127.0.0.1", *[word] * 5] for word in said]


def test_the_last_word_arrives(site: Site) -> None:
    async def say(one: ClientConnection) -> None:
        await one.recv()
        await one.send(b"bye")
        await one.recv()

    with pytest.raises(ConnectionClosed) as closed:
        talk(site, say)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "as you wish")


async def listen(one: ClientConnection) -> None:
    """To the end."""
    while True:
        await one.recv()


def test_a_server_that_will_not_is_believed(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        talk(site, listen, "/no")
    assert refused.value.response.status_code == 403


def test_a_pool_says_where_to_go(site: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        talk(site, listen, "/pool/chat")
    assert refused.value.response.status_code == 501
    assert lines(site, "/pool/chat")[-1]["why"] == "upgrade"
    wait_until(lambda: "cannot switch to websocket" in site.said(), 5)
    assert '{path: /pool/chat, upstream: "http://127.0.0.1:8001"}' in site.said()


def test_silence_has_an_end(site: Site) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionClosed):
        talk(site, listen, "/idle/ws")
    assert 0.3 < time.monotonic() - began < 8
    assert lines(site, "/idle/ws")[-1]["why"] == "tunnel_timeout"


@pytest.mark.slow
def test_a_stop_waits_for_tunnels_no_longer_than_for_requests(tmp_path: Path) -> None:
    with echoing(tmp_path) as site:

        async def say(one: ClientConnection) -> float:
            await one.recv()
            began = time.monotonic()
            assert await asyncio.to_thread(site.stop) == 0
            with pytest.raises(ConnectionClosed):
                await one.recv()
            return time.monotonic() - began

        assert 0.9 < talk(site, say) < 10
        assert lines(site, "/ws")[-1]["why"] == "draining"


@pytest.mark.slow
def test_a_reload_leaves_tunnels_alone(tmp_path: Path) -> None:
    with echoing(tmp_path) as site:

        async def say(one: ClientConnection) -> bytes | str:
            await one.recv()
            site.file.write_text(site.file.read_text().replace("{servers:", "{fall: 1, servers:"))
            done = await asyncio.to_thread(site.command, "reload")
            assert done.returncode == 0, done.stderr
            await one.send(b"still here")
            return await one.recv()

        assert talk(site, say) == b"still here"
