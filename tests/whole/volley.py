"""Raw bytes on many connections at once, and what came back on each, read strictly.

Knows no parser of ours: an answer here is what any client would take for one. Every shot has a deadline.
"""

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

Address = tuple[str, int] | str

# A final answer to a request that no corpus has: it shows that what came before ended where it should.
TAIL_TARGET = b"/tail-of-volley"
TAIL = b"GET " + TAIL_TARGET + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
_AT_ONCE = 16


@dataclass(frozen=True)
class Shot:
    """`pieces` are sent one by one, Nagle off. `answers`: after so many final answers the client ends its
    side, None: it never does. `source`: the address it comes from, so that everybody can tell it by that."""

    pieces: Sequence[bytes]
    source: str = ""
    answers: int | None = None
    methods: Sequence[bytes] = ()


@dataclass
class Heard:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Outcome:
    """`end`: "closed", "reset", or "open" when the patience was over. `rest`: bytes that are no answer."""

    answers: list[Heard] = field(default_factory=list)
    end: str = "open"
    rest: bytes = b""

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def fire(
    address: Address,
    shots: Sequence[Shot],
    at_once: int = _AT_ONCE,
    patience: float = 10.0,
    after: Callable[[int], None] | None = None,
) -> list[Outcome]:
    """One connection a shot, so many of them at once; `patience` seconds each. `after` is told the number of
    each shot that is over."""
    return trio.run(_fire, address, shots, at_once, patience, after)


def sources(count: int, net: int = 1) -> list[str]:
    """Addresses of this machine, all different; `net` (below 100) keeps two volleys apart."""
    return [
        f"127.{net + (number >> 16)}.{number >> 8 & 255}.{number & 255}" for number in range(1, count + 1)
    ]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


async def _fire(
    address: Address,
    shots: Sequence[Shot],
    at_once: int,
    patience: float,
    after: Callable[[int], None] | None,
) -> list[Outcome]:
    outcomes = [Outcome() for _ in shots]
    numbers = iter(range(len(shots)))

    async def shoot() -> None:
        for number in numbers:
            with trio.move_on_after(patience):
                await _Line(shots[number], outcomes[number]).run(address)
            if after is not None:
                after(number)

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(shoot)
    return outcomes


class _Line:
    """One connection."""

    def __init__(self, shot: Shot, outcome: Outcome) -> None:
        self.shot = shot
        self.outcome = outcome
        self.received = b""
        self.is_sent = False
        self.is_ended = False

    async def run(self, address: Address) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with trio.socket.socket(family, socket.SOCK_STREAM) as self.sock:
            if self.shot.source:
                await self.sock.bind((self.shot.source, 0))
            await self.sock.connect(address)
            if family == socket.AF_INET:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send)
                await self._receive()
                nursery.cancel_scope.cancel()

    async def _send(self) -> None:
        try:
            for piece in self.shot.pieces:
                sent = 0
                while sent < len(piece):
                    sent += await self.sock.send(piece[sent:])
        except OSError:
            return  # refused and closed before all was sent: what came back tells
        self.is_sent = True
        self._end_if_due()

    async def _receive(self) -> None:
        outcome = self.outcome
        try:
            while data := await self.sock.recv(65536):
                self.received += data
                self._read_answers()
                self._end_if_due()
            outcome.end = "closed"
        except OSError:
            outcome.end = "reset"
        self._read_answers()
        outcome.rest = self.received

    def _end_if_due(self) -> None:
        due = self.shot.answers
        if due is not None and self.is_sent and len(self.outcome.answers) >= due and not self.is_ended:
            self.is_ended = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was quicker

    def _read_answers(self) -> None:
        while (
            found := _read_answer(self.received, self._method(), self.outcome.end == "closed")
        ) is not None:
            answer, size = found
            self.received = self.received[size:]
            if answer.status >= 200:
                self.outcome.answers.append(answer)

    def _method(self) -> bytes:
        asked, number = self.shot.methods, len(self.outcome.answers)
        return asked[number] if number < len(asked) else b"GET"


def _read_answer(data: bytes, method: bytes, is_all: bool) -> tuple[Heard, int] | None:
    """The answer at the start of `data` and its size; None while it is not whole, or not one."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or b"\n" in head.replace(b"\r\n", b""):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    found = re.fullmatch(r"HTTP/1\.1 (\d{3}) [ -~]*", first)
    if found is None or not all(re.fullmatch(r"[a-z0-9-]+: [^\x00-\x1f\x7f]*", line) for line in lines):
        return None
    headers = dict(line.split(": ", 1) for line in lines)
    status, start = int(found[1]), len(head) + 4
    if method == b"HEAD" or status in (204, 304) or status < 200:
        return Heard(status, headers, b""), start
    if "content-length" in headers:
        size = int(headers["content-length"])
        return (Heard(status, headers, body[:size]), start + size) if len(body) >= size else None
    return (Heard(status, headers, body), len(data)) if is_all else None  # no answer here is chunked
