"""An upstream, or slots, that misbehave as they are told: a request's target names the script, and a mark.

A script is the bytes to send, with pauses and ends between them. Every body says the mark of the request it
answers, so that an answer that went to somebody else shows. Knows no proxy.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path

from tests.proxy.fakes_pool import Asked, FakePool, FakeSlot, Peer

PATIENCE = 20.0


class Then(Enum):
    """What a script does between or after its bytes."""

    CLOSE = "ends the connection"
    RESET = "resets it"
    PAUSE = "waits a moment"
    STALL = "says nothing any more"


Step = bytes | Then
Script = Callable[[bytes], list[Step]]


def answer(mark: bytes, body: bytes = b"", extra: bytes = b"") -> bytes:
    """A good one."""
    body = body or b"mark " + mark
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), extra, body)


def good(mark: bytes) -> list[Step]:
    return [answer(mark)]


class Upstream:
    """`asked`: the targets of all requests that arrived whole, `bodies`: what came with them, `played`: those
    whose script is over."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._socks: list[socket.socket] = []
        self._over = threading.Event()
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.played: set[str] = set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def close(self) -> None:
        self._over.set()
        for sock in [self._listener, *self._socks]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _start(self, work: Callable[..., None], *args: object) -> None:
        threading.Thread(target=work, args=args, daemon=True).start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is played has arrived
            self._socks.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            rest = b""
            while not self._over.is_set():
                target, rest = self._receive(sock, rest)
                _, name, mark = target.split("/")
                try:
                    keeps = play(sock, self._scripts[name](mark.encode()))
                finally:
                    self.played.add(target)
                if not keeps:
                    return
        except (OSError, EOFError):
            pass
        finally:
            sock.close()

    def _receive(self, sock: socket.socket, data: bytes) -> tuple[str, bytes]:
        """The target of the next request, and what came after it. Raises EOFError when it breaks off."""
        while b"\r\n\r\n" not in data:
            data += _more(sock)
        head, _, data = data.partition(b"\r\n\r\n")
        size = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b": ")
            if name == b"content-length":
                size = int(value)
            assert name != b"transfer-encoding", "no request here is streamed without a length"
        while len(data) < size:
            data += _more(sock)
        target = head.split(b" ")[1].decode()
        self.asked.append(target)
        self.bodies.append(data[:size])
        return target, data[size:]


class ScriptedPool:
    """Slots that do the same: claimed by tokens, as a worker's are, on real boards."""

    def __init__(self, directory: Path, scripts: Mapping[str, Script], slots: int = 6) -> None:
        self._scripts = {"good": good, **scripts}
        self._pool = FakePool(directory)
        self._slots: list[FakeSlot] = []
        self.asked: list[str] = []
        self.played: set[str] = set()
        for number in range(slots):
            act = partial(self._act, number)
            self._slots.append(self._pool.worker(act, announce=False))
        for slot in self._slots:
            slot.announce()

    def close(self) -> None:
        self._pool.close()
        self._pool.places.remove()

    def _act(self, number: int, peer: Peer, asked: Asked) -> None:
        target = asked.head.target.decode()
        self.asked.append(target)
        _, name, mark = target.split("/")
        try:
            keeps = play(peer.sock, self._scripts[name](mark.encode()))
        finally:
            self.played.add(target)
            self._slots[number].announce()
        if not keeps:
            raise ConnectionError(name)  # the slot lives, this connection does not


def play(sock: socket.socket, steps: list[Step]) -> bool:
    """Whether the connection goes on after it."""
    for step in steps:
        if isinstance(step, bytes):
            sock.sendall(step)
        elif step is Then.PAUSE:
            time.sleep(0.03)
        elif step is Then.STALL:
            while sock.recv(65536):
                pass
            return False
        else:
            if step is Then.RESET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
    return True


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise EOFError
    return data


@contextmanager
def scripted(scripts: Mapping[str, Script]) -> Iterator[Upstream]:
    upstream = Upstream({"good": good, **scripts})
    try:
        yield upstream
    finally:
        upstream.close()
