"""The slot's rule on real sockets: claims, tokens, bodies, retirement. The slot is a thread, we its proxy."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any
from wsgiref.validate import validator

import pytest

from tests.backend.fakes import FakeLog
from trivet_backend.environ import EnvironBuilder
from trivet_backend.file_wrapper import FileWrapper
from trivet_backend.interrupt import unwatched
from trivet_backend.limits import SlotLimits, Trust
from trivet_backend.retirement import QUIET
from trivet_backend.slot import Slot
from trivet_common.http1.collector import HeadLimits
from trivet_common.pool.board import ENTERED, NONCE, NUMBER, STATE, Board, SlotState
from trivet_common.pool.claims import UNREAD
from trivet_common.pool.idle import IdleFifo, Token
from trivet_common.pool.places import PoolPlaces

PATIENCE = 5.0
STALE = b"HTTP/1.1 409 Conflict\r\ntrivet-claim: stale\r\ncontent-length: 0\r\n\r\n"
LIMITS = SlotLimits(HeadLimits(8192, 50), 1_000_000, 0.4, 0.4, None, 0.4, 1024, None)


class Pool:
    """One slot of one worker with everything around it."""

    def __init__(
        self, folder: Path, application: Any, limits: SlotLimits, uids: frozenset[int], tcp: bool
    ) -> None:
        self.places = PoolPlaces(folder / "web")
        self.places.create()
        self.board = Board.create(self.places.board(1), 1, 1, monotonic_ns())
        self.row = self.board.slot(0)
        self.words = self.board.words(0)
        self.fifo = IdleFifo(self.places.idle_fifo)
        self.log = FakeLog()
        self.ran: list[dict[str, Any]] = []
        self.shared = socket.create_server(("127.0.0.1", 0)) if tcp else self.listen(self.places.pool_socket)
        self.shared.setblocking(False)
        self.slot = Slot(
            0,
            1,
            row=self.row,
            alarm=unwatched(),
            fifo=self.fifo,
            listener=self.listen(self.places.slot_socket(1, 0)),
            shared=[self.shared],
            application=self.counted(application),
            environs=EnvironBuilder(
                errors=sys.stderr, threads=1, workers=1, file_wrapper=FileWrapper, is_proxy=lambda a: False
            ),
            limits=limits,
            trust=Trust(uids, lambda address: False),
            log=self.log,
        )
        self.thread = threading.Thread(target=self.slot.run, daemon=True)
        self.thread.start()
        self.clients: list[socket.socket] = []

    def counted(self, application: Any) -> Any:
        def counting(environ: dict[str, Any], start_response: Any) -> Any:
            self.ran.append(environ)
            return application(environ, start_response)

        return counting

    def listen(self, path: Path) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(path))
        listener.listen(128)
        listener.setblocking(False)
        return listener

    def connect(self, path: Path | None = None) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(os.fspath(path or self.places.slot_socket(1, 0)))
        self.clients.append(client)
        return client

    def token(self) -> Token:
        found = until(self.fifo.try_read)
        assert isinstance(found, Token)
        return found

    def close(self) -> None:
        self.slot.leave()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        for client in self.clients:
            client.close()
        self.shared.close()
        self.fifo.close()


@contextmanager
def stopped(pool: Pool) -> Iterator[None]:
    """The slot stands still meanwhile."""
    stands, goes_on = threading.Event(), threading.Event()
    eventfd = os.eventfd(1)

    def stand() -> None:
        os.eventfd_read(eventfd)
        stands.set()
        goes_on.wait(PATIENCE)

    pool.slot.watch(eventfd, stand)
    assert stands.wait(PATIENCE)
    try:
        yield
    finally:
        goes_on.set()
        os.close(eventfd)


def until(found: Callable[[], Any]) -> Any:
    """Ask until the answer is true; a test that waits in vain fails here."""
    end = monotonic() + PATIENCE
    while monotonic() < end:
        value = found()
        if value:
            return value
        threading.Event().wait(0.002)
    raise AssertionError("waited in vain")


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = b"hello " + environ["PATH_INFO"].encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("x-length", environ.get("CONTENT_LENGTH", "none"))])
    return [body]


Start = Callable[..., Pool]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    pools = []

    def begin(
        application: Any = hello,
        limits: SlotLimits = LIMITS,
        uids: frozenset[int] = frozenset({os.geteuid()}),
        tcp: bool = False,
    ) -> Pool:
        pool = Pool(tmp_path, application, limits, uids, tcp)
        pools.append(pool)
        return pool

    yield begin
    for pool in pools:
        pool.close()


def request(
    path: str = "/",
    *,
    claim: tuple[int, ...] | None = None,
    method: str = "GET",
    body: bytes = b"",
    **fields: str,
) -> bytes:
    """As our proxy writes it; but with a claim that says when, the fields of a regular do not end."""
    lines = [f"{method} {path} HTTP/1.1", "host: a"]
    if claim is not None and len(claim) == 2:
        lines.append(f"x-request-id: {fields.pop('x_request_id', '1f')}")
        claim = (*claim, 0)
    if body:
        lines.append(f"content-length: {len(body)}")
    said = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    lines += [line for line in said if not line.startswith("trivet-")]
    if claim is not None:
        lines.append(f"trivet-claim: {' '.join(map(str, claim))}")
    lines += [line for line in said if line.startswith("trivet-")]
    return "\r\n".join([*lines, "", ""]).encode() + body


def receive(client: socket.socket) -> bytes:
    """One counted response."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def receive_all(client: socket.socket) -> bytes:
    data = b""
    while piece := client.recv(65536):
        data += piece
    return data


# ------------------------------------------------------------ claims


def test_a_claim_is_run_and_the_slot_is_idle_again(start: Start) -> None:
    pool = start()
    token = pool.token()
    assert token == Token(0, 1, 1)
    client = pool.connect()
    client.sendall(request("/a", claim=(token.number, 77)))
    assert receive(client).endswith(b"hello /a")
    assert pool.token() == Token(0, 1, 2)
    assert (pool.words[NUMBER], pool.words[NONCE], pool.words[ENTERED]) == (2, 77, 2)
    assert pool.words[STATE] == SlotState.IDLE


def test_the_connection_is_kept(start: Start) -> None:
    pool = start()
    client = pool.connect()
    for number in range(1, 20):
        assert pool.token().number == number
        client.sendall(request(f"/{number}", claim=(number, number)))
        assert receive(client).endswith(b"hello /%d" % number)


@pytest.mark.parametrize("number", [0, 2, 99, 2**64 - 1])
def test_another_number_is_409_and_changes_nothing(start: Start, number: int) -> None:
    pool = start()
    pool.token()
    before = pool.words.tolist()
    client = pool.connect()
    client.sendall(request("/", claim=(number, 5)))
    assert client.recv(1000) == STALE
    assert pool.words.tolist() == before
    assert pool.ran == []
    assert pool.fifo.try_read() is None
    client.sendall(request("/after", claim=(1, 6)))  # the connection was kept
    assert receive(client).endswith(b"hello /after")


def test_a_doubled_token_runs_once(start: Start) -> None:
    pool = start()
    number = pool.token().number
    first, second = pool.connect(), pool.connect()
    first.sendall(request("/", claim=(number, 1)))
    assert b"200 OK" in receive(first)
    second.sendall(request("/", claim=(number, 2)))
    assert second.recv(1000) == STALE
    assert len(pool.ran) == 1


@pytest.mark.parametrize("claim", ["x", "1", "1 x", "-1 2", "1 2 3 4", "1 2 x", "", "1" * 40 + " 1"])
def test_a_claim_that_is_none_is_nobodys(start: Start, claim: str) -> None:
    pool = start()
    client = pool.connect()
    client.sendall(request("/", trivet_claim=claim))
    assert client.recv(1000) == STALE
    assert pool.ran == []


@pytest.mark.parametrize("body", [b"", b"x" * 1000])
@pytest.mark.parametrize("closes", [False, True])
def test_what_was_taken_back_unread_is_not_run(start: Start, body: bytes, closes: bool) -> None:
    pool = start(echo)
    number = pool.token().number
    long_ago = monotonic_ns() - UNREAD
    client = pool.connect()
    message = request("/", claim=(number, 5, long_ago), method="POST" if body else "GET", body=body)
    # In one go, as a slot that has stood still finds it.
    with stopped(pool):
        client.sendall(message)
        client.shutdown(socket.SHUT_WR)
        if closes:
            client.close()
    assert closes or receive_all(client) == STALE
    # Its token was void: who was given it twice must not find it good.
    assert pool.token().number == number + 1
    assert pool.ran == []


@pytest.mark.parametrize(("age", "ends"), [(UNREAD, False), (UNREAD // 4, True)])
def test_what_is_only_old_or_only_ended_is_run(start: Start, age: int, ends: bool) -> None:
    pool = start()
    number = pool.token().number
    client = pool.connect()
    with stopped(pool):
        client.sendall(request("/", claim=(number, 5, monotonic_ns() - age)))
        if ends:
            client.shutdown(socket.SHUT_WR)
    assert receive(client).endswith(b"hello /")


def test_a_stale_claims_body_is_read_away(start: Start) -> None:
    pool = start(echo)
    client = pool.connect()
    message = request("/", claim=(9, 5), method="POST", body=b"x" * 100_000)
    client.sendall(message[:60_000])
    client.sendall(message[60_000:])
    assert client.recv(1000) == STALE
    client.sendall(request("/", claim=(1, 5), method="POST", body=b"mine"))
    assert receive(client).endswith(b"mine")


def test_a_stale_claim_that_streams_is_answered_at_once(start: Start) -> None:
    pool = start()
    client = pool.connect()
    client.sendall(request("/", claim=(9, 5), method="POST", trivet_stream="1", transfer_encoding="chunked"))
    assert receive_all(client) == STALE


@pytest.mark.parametrize("is_believed", [True, False])
def test_a_disk_that_cannot_be_spooled_to_is_named_to_nobody(
    start: Start, tmp_path: Path, is_believed: bool
) -> None:
    nowhere = LIMITS._replace(spool_memory=10, spool_directory=tmp_path / "nowhere")
    pool = start(echo, nowhere, frozenset({os.geteuid()}) if is_believed else frozenset())
    client = pool.connect()
    client.sendall(request("/", claim=(1, 5), method="POST", body=b"x" * 1000))
    said = receive_all(client)
    assert said.startswith(b"HTTP/1.1 507 ")
    assert b"nowhere" not in said
    # The mark by which our proxy puts its own page in place of this one.
    assert (b"\r\ntrivet-why: spool_full\r\n" in said) is is_believed
    assert pool.ran == []


def test_a_claim_of_a_stranger_is_an_ordinary_request(start: Start) -> None:
    pool = start(uids=frozenset())
    client = pool.connect()
    client.sendall(request("/", claim=(99, 1), x_real_ip="1.2.3.4"))
    assert b"200 OK" in receive(client)
    assert pool.words[NONCE] == 0
    assert "HTTP_X_REAL_IP" not in pool.ran[0]
    assert not [name for name in pool.ran[0] if "CLAIM" in name]


def test_a_request_without_a_claim_voids_the_token_that_is_out(start: Start) -> None:
    pool = start()
    held = pool.token()
    curl = pool.connect()
    curl.sendall(request("/curl"))
    assert receive(curl).endswith(b"hello /curl")
    proxy = pool.connect()
    proxy.sendall(request("/", claim=(held.number, 3)))
    assert proxy.recv(1000) == STALE
    assert pool.token().number == held.number + 1


def test_pipelined_requests_are_answered_in_order(start: Start) -> None:
    pool = start()
    client = pool.connect()
    client.sendall(request("/1") + request("/2") + request("/3"))
    assert [receive_one(client) for _ in range(3)] == [b"hello /1", b"hello /2", b"hello /3"]


def receive_one(client: socket.socket) -> bytes:
    """One counted response, byte by byte: what follows stays for the next."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += client.recv(1)
    length = int(data.lower().partition(b"content-length: ")[2].split(b"\r")[0])
    return b"".join(client.recv(1) for _ in range(length))


# ------------------------------------------------------------ pool.sock and TCP


def test_pool_sock_serves_one_request_a_connection(start: Start) -> None:
    pool = start()
    client = pool.connect(pool.places.pool_socket)
    client.sendall(request("/a") + request("/b"))
    answer = receive_all(client)
    assert answer.endswith(b"hello /a")
    assert b"connection: close" in answer
    assert len(pool.ran) == 1


def test_a_claim_on_pool_sock_means_nothing(start: Start) -> None:
    pool = start()
    client = pool.connect(pool.places.pool_socket)
    client.sendall(request("/", claim=(99, 1)))
    assert b"200 OK" in receive_all(client)


def test_tcp_has_the_clients_address(start: Start) -> None:
    pool = start(tcp=True)
    with socket.create_connection(pool.shared.getsockname(), PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.0\r\nx-forwarded-for: 1.2.3.4\r\n\r\n")
        assert b"200 OK" in receive_all(client)
        environ = pool.ran[0]
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["REMOTE_PORT"] == str(client.getsockname()[1])
        assert environ["SERVER_PORT"] == str(pool.shared.getsockname()[1])
        assert "HTTP_X_FORWARDED_FOR" not in environ


def test_a_slow_head_does_not_hold_the_slot(start: Start) -> None:
    pool = start(limits=LIMITS._replace(header_timeout=PATIENCE))
    slow = pool.connect(pool.places.pool_socket)
    slow.sendall(b"GET /slow HTTP/1.1\r\nhost: ")
    quick = pool.connect()
    quick.sendall(request("/quick", claim=(pool.token().number, 1)))
    assert receive(quick).endswith(b"hello /quick")
    slow.sendall(b"a\r\n\r\n")
    assert receive_all(slow).endswith(b"hello /slow")


def test_a_head_that_never_ends_is_408(start: Start) -> None:
    pool = start()
    client = pool.connect()
    client.sendall(b"GET / HTTP/1.1\r\nhost: ")
    assert receive_all(client).startswith(b"HTTP/1.1 408 ")


def test_a_connection_on_which_nothing_comes_is_closed(start: Start) -> None:
    pool = start()
    assert receive_all(pool.connect(pool.places.pool_socket)) == b""


def test_a_bad_head_is_refused_and_what_follows_not_looked_at(start: Start) -> None:
    pool = start()
    client = pool.connect()
    client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n" + request("/"))
    answer = receive_all(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"bad_head:host_twice" in answer
    assert pool.ran == []


def test_connections_are_bounded(start: Start) -> None:
    pool = start()
    clients = [pool.connect() for _ in range(70)]
    last = clients[-1]
    last.sendall(request("/"))
    assert b"200 OK" in receive(last)
    assert clients[0].recv(1) == b""  # the oldest idle one made room


# ------------------------------------------------------------ bodies


@pytest.mark.parametrize("size", [1, 1000, 5000, 300_000])
def test_a_body_arrives_whole(start: Start, size: int) -> None:
    pool = start(echo)
    body = os.urandom(size)
    client = pool.connect()
    client.sendall(request("/", claim=(1, 1), method="POST", body=body))
    answer = receive(client)
    assert answer.partition(b"\r\n\r\n")[2] == body
    assert b"x-length: %d\r\n" % size in answer


def test_a_chunked_body_has_its_length_told(start: Start) -> None:
    pool = start(echo)
    client = pool.connect()
    client.sendall(request("/", method="POST", transfer_encoding="chunked") + b"3\r\nabc\r\n2\r\nde\r\n")
    client.sendall(b"0\r\n\r\n" + request("/next"))
    assert receive_one(client) == b"abcde"
    assert pool.ran[0]["CONTENT_LENGTH"] == "5"
    assert receive_one(client) == b""


@pytest.mark.parametrize("framing", ["counted", "chunked"])
def test_an_incomplete_body_never_reaches_the_application(start: Start, framing: str) -> None:
    pool = start(echo)
    token = pool.token()
    client = pool.connect()
    if framing == "counted":
        client.sendall(request("/", claim=(token.number, 8), method="POST", body=b"12345")[:-2])
    else:
        client.sendall(
            request("/", claim=(token.number, 8), method="POST", transfer_encoding="chunked") + b"5\r\n12"
        )
    client.close()
    again = pool.token()  # idle again, under the next number
    assert again.number == token.number + 1
    assert pool.ran == []
    assert (pool.words[NONCE], pool.words[ENTERED]) == (8, 0)


def test_a_body_that_stops_arriving_is_408(start: Start) -> None:
    pool = start(echo)
    client = pool.connect()
    client.sendall(request("/", claim=(1, 8), method="POST", body=b"12345")[:-2])
    assert receive_all(client).startswith(b"HTTP/1.1 408 ")
    assert pool.ran == []
    assert [pool.token().number, pool.token().number] == [1, 2]


def test_a_body_that_drips_is_408(start: Start) -> None:
    pool = start(echo, LIMITS._replace(body_rate=1e6))
    client = pool.connect()
    client.sendall(request("/", method="POST", content_length="1000"))
    begun = monotonic()
    client.settimeout(0.05)
    answer = b""
    while not answer and monotonic() - begun < PATIENCE:
        client.sendall(b"x")
        try:
            answer = client.recv(1000)
        except TimeoutError:
            pass
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_body_above_the_limit_is_413_but_not_for_our_proxy(start: Start) -> None:
    pool = start(echo, LIMITS._replace(body=10))
    client = pool.connect()
    client.sendall(request("/", claim=(1, 1), method="POST", body=b"x" * 11))
    assert b"200 OK" in receive(client)
    other = pool.connect()
    other.sendall(request("/", method="POST", body=b"x" * 11))
    assert receive_all(other).startswith(b"HTTP/1.1 413 ")


def test_expect_100_continue(start: Start) -> None:
    pool = start(echo)
    client = pool.connect()
    client.sendall(request("/", method="POST", expect="100-continue", content_length="4"))
    assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"body")
    assert receive(client).endswith(b"body")


def test_a_streamed_body_is_read_while_it_arrives(start: Start) -> None:
    def by_piece(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        while piece := environ["wsgi.input"].read(4):
            yield piece

    pool = start(by_piece)
    client = pool.connect()
    head = request("/", claim=(1, 1), method="POST", trivet_stream="1", transfer_encoding="chunked")
    client.sendall(head + b"4\r\nabcd\r\n")
    first = client.recv(1000)
    while b"abcd" not in first:
        first += client.recv(1000)
    client.sendall(b"4\r\nefgh\r\n0\r\n\r\n")
    rest = b""
    while not rest.endswith(b"0\r\n\r\n"):
        rest += client.recv(1000)
    assert b"efgh" in rest
    assert "CONTENT_LENGTH" not in pool.ran[0]


def test_a_streamed_body_that_breaks_off_is_an_error_of_read(start: Start) -> None:
    seen: list[BaseException] = []

    def reading(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            seen.append(error)
            raise
        return []

    pool = start(reading)
    client = pool.connect()
    pool.token()
    client.sendall(
        request("/", claim=(1, 1), method="POST", trivet_stream="1", content_length="10") + b"12345"
    )
    client.shutdown(socket.SHUT_WR)
    assert pool.token().number == 2
    assert "broke off" in str(seen[0])
    assert pool.log.errors == []


def test_an_application_that_does_not_read_its_streamed_body(start: Start) -> None:
    pool = start()
    client = pool.connect()
    client.sendall(
        request("/", claim=(1, 1), method="POST", trivet_stream="1", content_length="10") + b"12345"
    )
    assert receive(client).endswith(b"hello /")
    client.sendall(b"67890")
    assert [pool.token().number, pool.token().number] == [1, 2]
    client.sendall(request("/again", claim=(2, 2)))
    assert receive(client).endswith(b"hello /again")


# ------------------------------------------------------------ answers


def test_a_client_that_left_frees_the_slot(start: Start) -> None:
    closed = threading.Event()

    def endless(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 10_000
        finally:
            closed.set()

    pool = start(endless)
    client = pool.connect()
    client.sendall(request("/", claim=(1, 1)))
    client.recv(100)
    client.close()
    assert closed.wait(PATIENCE)
    assert [pool.token().number, pool.token().number] == [1, 2]
    assert pool.log.errors == []


def test_a_client_that_does_not_read_is_closed_after_write_timeout(start: Start) -> None:
    pool = start(lambda environ, start_response: (start_response("200 OK", []), [b"x" * 5_000_000])[1])
    client = pool.connect()
    client.sendall(request("/", claim=(1, 1)))
    assert [pool.token().number, pool.token().number] == [1, 2]
    assert len(receive_all(client)) < 5_000_000
    assert "read nothing for 0.4 s" in pool.log.debugs[0]


def test_a_large_answer_arrives_whole(start: Start) -> None:
    body = os.urandom(3_000_000)
    pool = start(lambda environ, start_response: (start_response("200 OK", []), [body])[1])
    client = pool.connect()
    client.sendall(request("/", claim=(1, 1)))
    assert receive(client).partition(b"\r\n\r\n")[2] == body


def test_a_file_arrives_whole(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(2_000_000))

    def download(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    pool = start(download)
    client = pool.connect()
    client.sendall(request("/", claim=(1, 1)))
    assert receive(client).partition(b"\r\n\r\n")[2] == path.read_bytes()


def test_a_failure_does_not_cost_the_connection(start: Start) -> None:
    def failing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise RuntimeError("no")

    pool = start(failing)
    client = pool.connect()
    for number in (1, 2, 3):
        pool.token()
        client.sendall(request("/", claim=(number, 1)))
        assert b"trivet-why: app_error" in receive(client)


def test_a_tcp_client_of_a_body_without_an_end_sees_a_reset(start: Start) -> None:
    def breaking(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"part"
        raise RuntimeError("no")

    pool = start(breaking, tcp=True)
    with socket.create_connection(pool.shared.getsockname(), PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            receive_all(client)


def test_the_board_shows_what_runs(start: Start) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def waiting(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        entered.set()
        go_on.wait(PATIENCE)
        return hello(environ, start_response)

    from trivet_common.pool.board import read_board

    pool = start(waiting)
    client = pool.connect()
    client.sendall(request("/shown", claim=(1, 1), x_request_id="id-9"))
    assert entered.wait(PATIENCE)
    row = read_board(pool.places.board(1)).slots[0]
    assert (row.state, row.method, row.path, row.request_id) == (SlotState.RUNNING, "GET", "/shown", "id-9")
    assert row.since > 0
    go_on.set()
    receive(client)
    until(lambda: read_board(pool.places.board(1)).slots[0].done == 1)


def judged(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    lines = [environ["wsgi.input"].readline(), *environ["wsgi.input"].readlines()]
    yield from (environ["PATH_INFO"].encode(), *lines, environ["wsgi.input"].read(10))


@pytest.mark.parametrize("application", [hello, judged])
@pytest.mark.parametrize("path", ["slot", "pool"])
def test_wsgiref_finds_nothing(start: Start, application: Any, path: str) -> None:
    pool = start(validator(application))
    to = pool.places.slot_socket(1, 0) if path == "slot" else pool.places.pool_socket
    for method, body in (("GET", b""), ("HEAD", b""), ("POST", b"one\ntwo\n" * 1000)):
        client = pool.connect(to)
        client.sendall(request("/a%20b?x=y", method=method, body=body, connection="close", x_a="1"))
        answer = receive_all(client)
        assert answer.startswith(b"HTTP/1.1 200 OK"), pool.log.errors
    assert pool.log.errors == []


# ------------------------------------------------------------ retirement


def test_a_retired_slot_answers_409_and_leaves_when_it_is_quiet(start: Start) -> None:
    pool = start()
    token = pool.token()
    client = pool.connect()
    pool.slot.ask_to_retire()
    until(lambda: pool.words[STATE] == SlotState.RETIRING)
    client.sendall(request("/", claim=(token.number, 1)))
    assert client.recv(1000) == STALE
    pool.thread.join(PATIENCE)
    assert not pool.thread.is_alive()
    assert pool.ran == []
    assert pool.fifo.try_read() is None
    assert client.recv(1) == b""


def test_a_request_that_runs_is_finished_first(start: Start) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def waiting(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        entered.set()
        go_on.wait(PATIENCE)
        return hello(environ, start_response)

    pool = start(waiting)
    pool.token()
    client = pool.connect()
    client.sendall(request("/last", claim=(1, 1)))
    assert entered.wait(PATIENCE)
    pool.slot.ask_to_retire()
    go_on.set()
    assert receive(client).endswith(b"hello /last")
    pool.thread.join(PATIENCE)
    assert not pool.thread.is_alive()
    assert pool.fifo.try_read() is None  # no token of a slot that leaves
    assert pool.words[STATE] == SlotState.RETIRING


def test_who_was_accepted_on_pool_sock_is_served_before_it_leaves(start: Start) -> None:
    """A reload drops nothing, nor between the connection and its request."""
    pool = start(limits=LIMITS._replace(header_timeout=PATIENCE))
    early = pool.connect(pool.places.pool_socket)
    until(lambda: len(pool.slot._links.by_fd) == 1)
    pool.slot.ask_to_retire()
    until(lambda: pool.words[STATE] == SlotState.RETIRING)
    threading.Event().wait(2 * QUIET)
    early.sendall(request("/"))
    assert receive_all(early).startswith(b"HTTP/1.1 200 ")
    pool.thread.join(PATIENCE)
    assert not pool.thread.is_alive()
    assert pool.words[STATE] == SlotState.RETIRING


def test_without_a_claim_a_retired_slot_says_503(start: Start) -> None:
    pool = start()
    client = pool.connect()
    pool.slot.ask_to_retire()
    until(lambda: pool.words[STATE] == SlotState.RETIRING)
    client.sendall(request("/"))
    assert receive_all(client).startswith(b"HTTP/1.1 503 ")


def test_a_stream_of_stale_claims_does_not_keep_it(start: Start) -> None:
    pool = start()
    client = pool.connect()
    pool.slot.ask_to_retire()
    begun = monotonic()
    try:
        while monotonic() - begun < PATIENCE and pool.thread.is_alive():
            client.sendall(request("/", claim=(1, 1)))
            client.recv(1000)
    except OSError:
        pass
    pool.thread.join(PATIENCE)
    assert not pool.thread.is_alive()
    assert monotonic() - begun < 4
