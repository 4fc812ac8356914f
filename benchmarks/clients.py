"""Clients that wrk cannot be, a process of their own: `python -m benchmarks.clients idle|events PORT COUNT`.

Says "ready" when all are connected and have their first answer. The first line that it is told starts the
clock, the second (or the end) stops it; then it says what it saw as one line of JSON. One epoll loop.
"""

import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: benchmarks\r\n\r\n"
AT_A_TIME = 64  # connections that are being opened: a backlog of any size takes them
PATIENCE = 60.0  # seconds until all must be there


class Crowd:
    """So many clients. `delays` are the events' (ms), `ended` how many connections the server ended."""

    __slots__ = (
        "_epoll",
        "_port",
        "_socks",
        "_wants_events",
        "_young",
        "broken",
        "delays",
        "ended",
        "is_timed",
    )

    def __init__(self, port: int, wants_events: bool) -> None:
        self._port = port
        self._wants_events = wants_events
        self._epoll = select.epoll()
        self._socks: dict[int, socket.socket] = {}
        self._young: dict[int, bytes] = {}  # what has come so far of each first answer
        self.delays: list[float] = []
        self.is_timed = False
        self.ended = 0
        self.broken = ""

    def __repr__(self) -> str:
        return f"<Crowd of {len(self._socks)}, {len(self._young)} young, ended {self.ended}>"

    def gather(self, count: int) -> None:
        until = time.monotonic() + PATIENCE
        while (len(self._socks) < count or self._young) and not self.broken:
            while len(self._socks) < count and len(self._young) < AT_A_TIME:
                self._open()
            self.turn(0.1)
            if time.monotonic() > until:
                self.broken = f"only {len(self._socks) - len(self._young)} of {count} were answered in time"

    def turn(self, seconds: float) -> None:
        for fd, _ in self._epoll.poll(seconds):
            self._read(fd, self._socks[fd])

    def turn_until_told(self, fd: int) -> None:
        """Until a word, or the end, can be read from `fd`."""
        self._epoll.register(fd, select.EPOLLIN)
        told = False
        while not told:
            for ready, _ in self._epoll.poll(60):
                if ready == fd:
                    told = True
                else:
                    self._read(ready, self._socks[ready])
        self._epoll.unregister(fd)
        os.read(fd, 100)

    def _open(self) -> None:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        sock.sendall(REQUEST)
        sock.setblocking(False)
        fd = sock.fileno()
        self._socks[fd] = sock
        self._young[fd] = b""
        self._epoll.register(fd, select.EPOLLIN)

    def _read(self, fd: int, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.ended += 1
            self._epoll.unregister(fd)
            if self._young.pop(fd, None) is not None:
                self.broken = "a connection ended without an answer"
        elif fd in self._young:
            self._young[fd] += data
            self._judge(fd)
        elif self.is_timed:
            self.delays += delays_in(data, time.monotonic_ns())

    def _judge(self, fd: int) -> None:
        """Whether the first answer is there: whole, or of an event stream one event."""
        head, found, body = self._young[fd].partition(b"\r\n\r\n")
        if found and not head.startswith(b"HTTP/1.1 200"):
            self.broken = f"answered {head.splitlines()[0].decode(errors='replace')}"
        if b"\n\n" in body if self._wants_events else body.endswith(b"!\n"):
            del self._young[fd]


def delays_in(data: bytes, now: int) -> Iterator[float]:
    """Milliseconds since each event in these bytes was sent."""
    for part in data.split(b"data: ")[1:]:
        sent = part.split(b"\n", 1)[0]
        if sent.isdigit():
            yield (now - int(sent)) / 1e6


def main(kind: str, port: int, count: int) -> None:
    crowd = Crowd(port, kind == "events")
    crowd.gather(count)
    print(crowd.broken or "ready", flush=True)
    if crowd.broken:
        return
    crowd.turn_until_told(sys.stdin.fileno())  # those who measure are ready
    crowd.is_timed = True
    crowd.turn_until_told(sys.stdin.fileno())
    print(json.dumps({"ended": crowd.ended, "delays": crowd.delays}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
