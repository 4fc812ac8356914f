"""Honest clients that share a steady rate of requests, and how long each of their answers took.

One process, one epoll, run as a program: what is measured is the server, not the test around it. Late starts
count: a request that could not be sent in its turn began when its turn came.
"""

import json
import os
import select
import socket
import sys
import time
from typing import Any

_REQUEST = b"GET /small HTTP/1.1\r\nHost: a.example\r\n\r\n"
_LATE = 5.0


class Honest:
    """`count` kept connections that ask `rate` times a second together, for so many seconds."""

    def __init__(self, port: int, count: int, rate: float) -> None:
        self._address = ("127.0.0.1", port)
        self._gap = 1 / rate
        self._epoll = select.epoll()
        self._idle = [self._connect() for _ in range(count)]
        self._asked: dict[int, tuple[socket.socket, float, bytes]] = {}
        self.took: list[float] = []
        self.errors: list[str] = []

    def run(self, seconds: float) -> None:
        due = time.monotonic()
        until = due + seconds
        while True:
            now = time.monotonic()
            while due <= now and due < until and self._idle:
                self._ask(self._idle.pop(0), due)
                due += self._gap
            if due >= until and not self._asked:
                return
            if due < until and not self._idle and now - due > _LATE:
                self.errors.append("every client waits")
                return
            pause = max(min(due - now, 0.1), 0) if due < until and self._idle else 0.1
            for fd, _ in self._epoll.poll(pause):
                self._hear(fd)
            for fd in [fd for fd, (_, since, _) in self._asked.items() if time.monotonic() - since > _LATE]:
                self._end(fd, "late")

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self._address, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._epoll.register(sock, select.EPOLLIN)
        return sock

    def _ask(self, sock: socket.socket, since: float) -> None:
        self._asked[sock.fileno()] = sock, since, b""
        try:
            sock.send(_REQUEST)
        except OSError as error:
            self._end(sock.fileno(), type(error).__name__)

    def _hear(self, fd: int) -> None:
        if fd not in self._asked:
            for sock in [sock for sock in self._idle if sock.fileno() == fd]:
                self._idle.remove(sock)  # closed while idle, as any server may
                sock.close()
                self._idle.append(self._connect())
            return
        sock, since, answer = self._asked[fd]
        try:
            data = sock.recv(65536)
        except OSError as error:
            self._end(fd, type(error).__name__)
            return
        answer += data
        if not data:
            self._end(fd, f"cut after {answer[:60]!r}")
        elif answer.endswith(b"\r\n\r\nsmall"):
            self.took.append(time.monotonic() - since)
            del self._asked[fd]
            self._idle.append(sock)
            if answer[9:12] != b"200":
                self.errors.append(answer[:60].decode("latin-1"))
        elif answer[9:12] not in (b"", b"200"):
            self._end(fd, answer[:60].decode("latin-1"))
        else:
            self._asked[fd] = sock, since, answer

    def _end(self, fd: int, why: str) -> None:
        sock, _, _ = self._asked.pop(fd)
        self.errors.append(why)
        sock.close()
        self._idle.append(self._connect())


def summary(took: list[float]) -> dict[str, Any]:
    """Milliseconds."""
    took = sorted(took) or [0.0]
    at = {
        f"p{q:g}": round(took[min(int(len(took) * q / 100), len(took) - 1)] * 1000, 2)
        for q in (50, 90, 99, 99.9)
    }
    return {"asked": len(took), **at, "most": round(took[-1] * 1000, 2)}


def main() -> None:
    """Arguments: port, clients, requests a second, seconds."""
    if os.geteuid() == 0:
        os.nice(-5)  # measured is the server, not how late the scheduler wakes the one who measures
    port, count, rate, seconds = map(float, sys.argv[1:])
    honest = Honest(int(port), int(count), rate)
    honest.run(seconds)
    print(json.dumps({**summary(honest.took), "errors": honest.errors[:20], "failed": len(honest.errors)}))


if __name__ == "__main__":
    main()
