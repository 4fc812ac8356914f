"""What is asked of a snippet of docs/from-nginx.md, and of which proxy: one in this process, to be quick."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from tests.whole.idiom_world import World
from tests.whole.talking import Answer, Talk
from trivet_common.channel import Channel
from trivet_common.config import Settings
from trivet_common.listeners import BoundListener, bind
from trivet_common.logs import ErrorLog
from trivet_proxy.front import Front


@asynccontextmanager
async def proxy_in_this_process(settings: Settings) -> AsyncIterator[list[BoundListener]]:
    listeners = bind(settings.listen, 1)
    ours, theirs = Channel.pair()
    async with trio.open_nursery() as nursery:
        front = Front(0, 1, settings, listeners, theirs, ErrorLog("stderr", "idiom"))
        nursery.start_soon(front.run)
        with trio.fail_after(10):
            while (said := ours.receive()) is None:
                await trio.sleep(0.01)
        assert said == b"ready"
        yield list(listeners)
        ours.send(b"drain")
    ours.close()
    theirs.close()
    listeners.close()


class Ask(NamedTuple):
    """One request, and what must come of it. None: no such header, or nothing of that name was told."""

    request: str  # method and URL, or a path at shop.example
    status: int
    sends: tuple[str, ...] = ()
    has: dict[str, str | None] = {}
    told: dict[str, str | int | None] = {}
    body: str = ""  # is in it
    by: str = ""  # the pool or server that answered
    carries: int = 0  # bytes of its body
    at: int = 0  # the listener
    times: int = 1  # the last one counts

    def try_at(self, here: World, doors: list[BoundListener]) -> None:
        method, _, url = self.request.partition(" ")
        host, slash, path = url.partition("/")
        host = host or "shop.example"
        with here.connect(doors[self.at], host) as talk:
            for _ in range(self.times):
                answer = self._asked(talk, method, host, slash + path)
        self._judge(answer)

    def _asked(self, talk: Talk, method: str, host: str, path: str) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *self.sends]
        if self.carries:
            lines.append(f"Content-Length: {self.carries}")
        return talk.say("\n".join(lines) + "\n\n", b"x" * self.carries).answer(method)

    def _judge(self, answer: Answer) -> None:
        assert answer.status == self.status, (self, answer)
        for name, value in self.has.items():
            assert answer.headers.get(name.lower()) == value, (self, name, answer)
        assert self.body in answer.body.decode(errors="replace"), (self, answer)
        told = self.told | ({"by": self.by} if self.by else {})
        for key, expected in told.items():
            assert answer.json().get(key) == expected, (self, key, answer)


class Row(NamedTuple):
    """An idiom's requests; `then` is tried after them, `logs` are read when the proxy has gone."""

    asks: tuple[Ask, ...]
    then: Callable[[World, list[BoundListener]], None] | None = None
    logs: dict[str, str] = {}  # file: an expression that all of it matches
    trusted: str = "127.0.0.0/8"  # who may say for whom it asks, where the snippet is silent


async def run(row: Row, settings: Settings, here: World) -> None:
    async with proxy_in_this_process(settings) as doors:
        for ask in row.asks:
            await trio.to_thread.run_sync(ask.try_at, here, doors)
        if row.then is not None:
            await trio.to_thread.run_sync(row.then, here, doors)
    for name, expression in row.logs.items():
        text = (here.folder / name).read_text()
        assert re.fullmatch(expression, text, re.DOTALL), (name, text)
