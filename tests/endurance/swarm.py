"""Thousands of clients in one process that each do as little as they can, and come again when they are ended.

Plain sockets and one epoll; run as a program, so that it costs the test no time. Knows HTTP only as the bytes
of its recipes. Ends when its standard input does, and then says what became of its sockets.
"""

import json
import os
import random
import select
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

# One loopback address has 28 000 ports, of which those just closed rest for a minute.
_SOURCES = tuple(f"127.0.0.{last}" for last in range(2, 32))
_LINE = b"X-Slow: and steady\r\n"


@dataclass(frozen=True)
class Recipe:
    """`opening` is sent at once, `crumb` every so often; or so many bytes are received as often."""

    opening: bytes
    crumb: bytes = b""
    receives: int = 0
    every: float = 4.0
    returns: bool = True  # once it was ended


RECIPES = {
    "heads": Recipe(b"GET / HTTP/1.1\r\nHost: a.example\r\n", _LINE),
    "bodies": Recipe(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "reads": Recipe(b"GET /large HTTP/1.1\r\nHost: a.example\r\n\r\n", receives=256),
    # To a TLS port: who says nothing, and who never ends his hello.
    "mute": Recipe(b"", every=3600.0),
    "hello": Recipe(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), b"\0", every=1.0),
    "idle": Recipe(b"GET /here HTTP/1.1\r\nHost: a.example\r\n\r\n", every=3600.0, returns=False),
}


@dataclass(eq=False)
class Client:
    recipe: Recipe
    source: str
    sock: socket.socket | None = None
    due: float = 0.0


@dataclass
class Swarm:
    """`counts`: opened, ended (by the server), refused, and every status that was received."""

    address: tuple[str, int]
    counts: Counter[str] = field(default_factory=Counter)
    live: int = 0

    def __post_init__(self) -> None:
        self._epoll = select.epoll()
        self._clients: dict[int, Client] = {}
        self.waiting: deque[Client] = deque()  # to be opened, the next first
        self._acting: dict[float, deque[Client]] = {}  # by their interval: the one that is due first, first

    def add(self, kind: str, count: int) -> None:
        recipe = RECIPES[kind]
        for at in range(count):
            self.waiting.append(Client(recipe, _SOURCES[at % len(_SOURCES)]))
        self._acting.setdefault(recipe.every, deque())

    def run(self, rate: float, say: bool = True) -> None:
        """Open `rate` sockets a second and keep them all open until standard input ends."""
        self._epoll.register(0, select.EPOLLIN | select.EPOLLHUP)
        wanted = len(self.waiting)
        opens_at = time.monotonic()
        while True:
            now = time.monotonic()
            while self.waiting and opens_at <= now:
                self._open(self.waiting.popleft(), now)
                opens_at = max(opens_at + 1 / rate, now - 0.05)
            for acting in self._acting.values():
                while acting and acting[0].due <= now:
                    self._act(acting.popleft(), now)
            for fd, _ in self._epoll.poll(0.005 if self.waiting else 0.02, 1024):
                if fd == 0:
                    if os.read(0, 4096) == b"":
                        return
                else:
                    self._hear(fd)
            if say and self.live >= wanted:
                print("all", flush=True)
                say = False

    def _open(self, client: Client, now: float) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect
        sock.bind((client.source, 0))
        if client.recipe.receives:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(5)
        try:
            sock.connect(self.address)
            sock.send(client.recipe.opening)
        except OSError as error:
            self.counts[f"refused {type(error).__name__}"] += 1
            sock.close()
            self.waiting.append(client)
            return
        sock.setblocking(False)
        client.sock = sock
        self._clients[sock.fileno()] = client
        events = 0 if client.recipe.receives else select.EPOLLIN
        self._epoll.register(sock, events | select.EPOLLRDHUP | select.EPOLLHUP)
        self.counts["opened"] += 1
        self.live += 1
        client.due = now + client.recipe.every
        self._acting[client.recipe.every].append(client)

    def _act(self, client: Client, now: float) -> None:
        if client.sock is None:
            return
        try:
            if client.recipe.receives:
                client.sock.recv(client.recipe.receives)
            elif client.recipe.crumb:
                client.sock.send(client.recipe.crumb)
        except OSError:
            pass  # the epoll says so too
        client.due = now + client.recipe.every
        self._acting[client.recipe.every].append(client)

    def _hear(self, fd: int) -> None:
        client = self._clients.get(fd)
        if client is None or client.sock is None:
            return
        try:
            data = client.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.counts[data[9:12].decode("latin-1") if data[:5] == b"HTTP/" else "more"] += 1
            return
        self._epoll.unregister(fd)
        del self._clients[fd]
        for acting in self._acting.values():
            if acting and acting[0] is client:
                acting.popleft()
        client.sock.close()
        client.sock = None
        self.counts["ended"] += 1
        self.live -= 1
        if client.recipe.returns:
            self.waiting.append(Client(client.recipe, client.source))


def main() -> None:
    """One JSON argument: address, rate, and how many of each kind."""
    os.nice(10)  # an attacker is another machine: it takes no time from the server
    asked = json.loads(sys.argv[1])
    swarm = Swarm(("127.0.0.1", asked["port"]))
    for kind, count in asked["kinds"].items():
        swarm.add(kind, count)
    random.Random(1).shuffle(swarm.waiting)  # or all of one kind would be of one age
    swarm.run(asked["rate"])
    print(json.dumps({"live": swarm.live, **swarm.counts}), flush=True)


if __name__ == "__main__":
    main()
