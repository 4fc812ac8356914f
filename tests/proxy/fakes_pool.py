"""A pool of scripted slots: threads with real boards, tokens and sockets that do what a test says."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import trio

from trivet_common.access_log import AccessRecord
from trivet_common.http1.request import HeadLimits, RequestReader, body_framing
from trivet_common.pool.board import Board
from trivet_common.pool.claims import SlotClaims
from trivet_common.pool.idle import IdleFifo, Token
from trivet_common.pool.places import PoolPlaces
from trivet_proxy.body import EMPTY, Body
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.dispatch.pool import PoolDispatch
from trivet_proxy.dispatch.terms import SAFE, QueueLimits, Terms
from trivet_proxy.request import Client, Request
from trivet_proxy.spool import Spool
from trivet_proxy.stall import Stall
from trivet_proxy.wire import Wire
from trivet_proxy.writer import ResponseWriter

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
STALE = b"HTTP/1.1 409 Conflict\r\ntrivet-claim: stale\r\ncontent-length: 0\r\n\r\n"
PATIENCE = 5.0


class Asked:
    """One request as a fake slot or server received it."""

    def __init__(self, head, body):
        self.head = head
        self.body = body

    def get(self, name):
        return self.head.get(name)


class Peer:
    """One accepted connection of a fake: blocking, with a deadline."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE)
        self._rest = b""

    def receive_head(self):
        reader = RequestReader(HeadLimits())
        head = reader.feed(self._rest) if self._rest else None
        while head is None:
            data = self.sock.recv(65536)
            if not data:
                return None
            head = reader.feed(data)
        self._rest = reader.take_rest()
        return head

    def receive(self):
        """The next request, whole; None at the end of the connection."""
        head = self.receive_head()
        if head is None:
            return None
        framing = body_framing(head)
        body = framing.feed(self._rest) if self._rest else b""
        while not framing.is_complete:
            data = self.sock.recv(65536)
            if not data:
                return None
            body += framing.feed(data)
        self._rest = framing.rest
        return Asked(head, body)

    def take_rest(self):
        rest, self._rest = self._rest, b""
        return rest

    def send(self, data):
        self.sock.sendall(data)


class FakeSlot:
    """`act(peer, asked)` answers what was entered; `before(peer, asked)` may spoil it (True: it did)."""

    def __init__(self, pool, incarnation, board, slot, act, before=None):
        self.pool, self.incarnation, self.slot = pool, incarnation, slot
        self.words = board.slot(slot).words
        self.claims = SlotClaims(self.words)
        self.act = act
        self.before = before
        self.entered: list[Asked] = []
        self.refused = 0
        self.connections = 0
        self.peers: list[Peer] = []
        self.is_dead = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(pool.places.slot_socket(incarnation, slot)))
        self.listener.listen(16)
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def announce(self, number=None):
        if number is None:
            number = self.claims.become_idle(time.monotonic_ns())
        self.pool.fifo.try_write(Token(self.slot, self.incarnation, number))

    def die(self):
        """As kill -9: every connection ends, the board stays as it is."""
        self.is_dead = True
        for sock in [self.listener, *(peer.sock for peer in self.peers)]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()

    def _accept(self):
        while not self.is_dead:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            peer = Peer(sock)
            self.peers.append(peer)
            self.threads.append(threading.Thread(target=self._serve, args=(peer,), daemon=True))
            self.threads[-1].start()

    def _serve(self, peer):
        try:
            while (asked := peer.receive()) is not None:
                with self._lock:
                    if not self._run(peer, asked):
                        return
        except (OSError, ValueError):
            pass
        finally:
            peer.sock.close()

    def _run(self, peer, asked):
        number, nonce, _ = map(int, asked.get(b"trivet-claim").split())
        if self.before is not None and self.before(peer, asked):
            return not self.is_dead
        if not self.claims.accepts(number):
            self.refused += 1
            peer.send(STALE)
            return True
        self.claims.commit(nonce)
        self.claims.enter()
        self.entered.append(asked)
        result = self.act(peer, asked)
        if self.is_dead:
            return False
        if result is not None:
            self.announce()
            peer.send(result)
        return True


def answer_ok(peer, asked):
    return OK


class FakePool:
    """The directory of a pool and its fake workers."""

    def __init__(self, directory: Path):
        self.places = PoolPlaces(directory)
        self.places.create()
        self.fifo = IdleFifo(self.places.idle_fifo)
        self.slots: list[FakeSlot] = []

    def worker(self, act: Callable = answer_ok, slots=1, before=None, announce=True):
        """One worker with some slots, all idle. Returns the first."""
        incarnation = self.places.next_incarnation()
        board = Board.create(self.places.board(incarnation), incarnation, slots, time.monotonic_ns())
        made = [FakeSlot(self, incarnation, board, slot, act, before) for slot in range(slots)]
        self.slots += made
        if announce:
            for one in made:
                one.announce()
        return made[0]

    def tokens(self):
        """How many tokens lie in the pipe; they are taken out."""
        found = 0
        while self.fifo.try_read() is not None:
            found += 1
        return found

    def close(self):
        for slot in self.slots:
            slot.die()
            for thread in slot.threads:
                thread.join(PATIENCE)
            for peer in slot.peers:
                peer.sock.close()
        self.fifo.close()


class Process:
    """What handlers, queue and writers need of a proxy process."""

    def __init__(self, tmp_path, memory=65536):
        self.deadlines = Deadlines()
        self.spool = Spool(tmp_path, memory, 1 << 30)
        self.write_timeout = 5.0
        self.write_rate: int | None = None
        self.is_draining = False
        self.warnings: list[str] = []
        self.clients: list[FakeClient] = []

    def close(self):
        for client in self.clients:
            client.request.body.close()
            client.writer.close()
            client.wire.close()
            client.theirs.close()

    def dispatch(self, pool, limit=100, timeout=5.0, retried=SAFE):
        terms = Terms(QueueLimits(limit, timeout), retried)
        return PoolDispatch("web", pool.places, terms, self.deadlines, self.warnings.append)


class FakeClient:
    """A request, the writer of its answer, and the client's end of the connection."""

    def __init__(
        self, process, raw=b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n", timeout=5.0, stream=False, slot_lines=b""
    ):
        ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(PATIENCE)
        wire = Wire(ours, "192.0.2.7")
        reader = RequestReader(HeadLimits())
        head = reader.feed(raw)
        stall = Stall(wire, process.deadlines)
        body = EMPTY
        if head.has_body:
            limits = SimpleNamespace(body_timeout=5.0, body_rate=None)
            patience = process.deadlines.start(None, wire, "body_timeout")
            body = Body(
                head, wire, reader.take_rest(), patience=patience, limits=limits, spool=process.spool,
                interim=lambda: None,
            )  # fmt: skip
        client = Client("192.0.2.7", "192.0.2.7", "http", 80, "192.0.2.7", False)
        self.request = Request(head, body, client, "id1", AccessRecord(), None)
        self.request.route = SimpleNamespace(
            timeout=timeout, stream=stream, slot_lines=slot_lines, shape=None, obeys=False,
            limits=SimpleNamespace(body=1 << 30),
        )  # fmt: skip
        self.writer = ResponseWriter(wire, stall, process, body, head.method, head.is_http10, head.keep_alive)
        self.wire = wire
        process.clients.append(self)

    def read(self):
        """What has arrived at the client; the answer is complete by then."""
        self.theirs.setblocking(False)
        got = b""
        try:
            while data := self.theirs.recv(1 << 20):
                got += data
        except BlockingIOError:
            pass
        return got

    async def read_until(self, end):
        """Everything up to `end`, which must come within PATIENCE."""
        self.theirs.setblocking(False)
        got = b""
        with trio.fail_after(PATIENCE):
            while end not in got:
                await trio.lowlevel.wait_readable(self.theirs)
                data = self.theirs.recv(1 << 20)
                assert data, got
                got += data
        return got

    def leave(self):
        self.theirs.close()
