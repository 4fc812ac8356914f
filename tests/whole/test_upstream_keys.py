"""Each key of an upstream as a configuration: what a client, and the servers, see of it."""

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.whole.over import authority, usual_pair
from tests.whole.running import Site, running, wait_until
from tests.whole.strangers import free_port
from tests.whole.talking import Answer, Talk, ask, logged

CONFIG = """
proxy: {processes: 1}
log: {access: access.log}
upstreams: {it: UPSTREAM}
routes: [{path: /fixed, respond: well}, {upstream: it}]
"""


class Server:
    """Answers with its name; `act(sock)` may do something else with a request."""

    def __init__(self, name: str, path: Path | None = None, context: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.asked = 0
        self.open = 0
        self.most = 0
        self.act: Callable[[socket.socket], bytes | None] = lambda sock: self.answer()
        self._context = context
        self._lock = threading.Lock()
        self._socks: list[socket.socket] = []
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            scheme = "http" if context is None else "https"
            self.address = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen(64)
            self.address = f"unix:{path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def answer(self, status: str = "200 OK") -> bytes:
        return f"HTTP/1.1 {status}\r\nContent-Length: {len(self.name)}\r\n\r\n{self.name}".encode()

    def close(self) -> None:
        for sock in [self._listener, *self._socks]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._socks.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with self._lock:
            self.open += 1
            self.most = max(self.most, self.open)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._socks.append(sock)
            while self._receive(sock):
                self.asked += 1
                said = self.act(sock)
                if said is None:
                    break
                sock.sendall(said)
        except OSError:
            pass
        finally:
            with self._lock:
                self.open -= 1
            sock.close()

    def _receive(self, sock: socket.socket) -> bool:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            piece = sock.recv(65536)
            if not piece:
                return False
            data += piece
        return True


@contextmanager
def serving(*names: str) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        servers = [Server(name) for name in names]
        for server in servers:
            stack.callback(server.close)
        yield servers


@contextmanager
def site_of(folder: Path, upstream: str, *servers: Server) -> Iterator[Site]:
    """`A`, `B`, … in the text are the servers' addresses."""
    for server in servers:
        upstream = upstream.replace(server.name, f'"{server.address}"')
    with running(folder, CONFIG.replace("UPSTREAM", upstream), verb="proxy") as site:
        yield site
        assert "Traceback" not in site.said()


def shares(site: Site, count: int) -> Counter[str]:
    return Counter(ask(site.address, "/").body.decode() for _ in range(count))


def at_once(site: Site, count: int, target: str = "/") -> list[Answer]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: ask(site.address, target), range(count)))


def test_balance_and_weight(tmp_path: Path) -> None:
    upstream = "{servers: [_A_, {address: _B_, weight: 3}], balance: round_robin}"
    with serving("_A_", "_B_") as servers, site_of(tmp_path, upstream, *servers) as site:
        assert shares(site, 40) == {"_A_": 10, "_B_": 30}


@pytest.mark.parametrize(
    "balance", ["two_choices", pytest.param("least_connections", marks=pytest.mark.slow)]
)
def test_a_busy_server_gets_less(tmp_path: Path, balance: str) -> None:
    with (
        serving("_A_", "_B_") as (busy, idle),
        site_of(tmp_path, f"{{servers: [_A_, _B_], balance: {balance}}}", busy, idle) as site,
    ):
        let_go = threading.Event()
        busy.act = lambda sock: busy.answer() if let_go.wait(10) else None
        threads = [threading.Thread(target=ask, args=(site.address, "/")) for _ in range(16)]
        for thread in threads:
            thread.start()
        wait_until(lambda: busy.open >= 1, 5)
        time.sleep(0.2)
        assert shares(site, 20) == {"_B_": 20}
        let_go.set()
        for thread in threads:
            thread.join(10)


def test_backup(tmp_path: Path) -> None:
    upstream = "{servers: [_A_, {address: _B_, backup: true}], fall: 1}"
    with serving("_A_", "_B_") as (first, backup), site_of(tmp_path, upstream, first, backup) as site:
        assert shares(site, 10) == {"_A_": 10}
        first.close()
        assert shares(site, 10) == {"_B_": 10}


def test_unix_socket(tmp_path: Path) -> None:
    server = Server("_A_", tmp_path / "s.sock")
    with site_of(tmp_path, "{servers: _A_}", server) as site:
        assert shares(site, 3) == {"_A_": 3}
        assert server.most == 1
    server.close()


@pytest.mark.parametrize(
    ("tls", "status"),
    [
        ("{ca: ca.pem}", 200),
        pytest.param("{ca: ca.pem, name: other.example}", 502, marks=pytest.mark.slow),
        ("{}", 502),
        pytest.param("{verify: false}", 200, marks=pytest.mark.slow),
    ],
)
def test_tls(tmp_path: Path, tls: str, status: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    usual_pair().configure_cert(context)
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Server("_A_", context=context)
    with site_of(tmp_path, f"{{servers: _A_, tls: {tls}}}", server) as site:
        answers = [ask(site.address, "/") for _ in range(3)]
        assert [answer.status for answer in answers] == [status] * 3
        assert ("is not believed" in site.said()) == (status == 502)
    server.close()


def test_connect_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, serving("_A_") as servers:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        there = f"http://127.0.0.1:{full.getsockname()[1]}"
        upstream = f'{{servers: ["{there}", _A_], connect_timeout: 200ms, balance: round_robin}}'
        with site_of(tmp_path, upstream, *servers) as site:
            began = time.monotonic()
            assert shares(site, 4) == {"_A_": 4}
            assert time.monotonic() - began < 5
        for filler in fillers:
            filler.close()


def test_response_timeout(tmp_path: Path) -> None:
    with (
        serving("_A_") as (server,),
        site_of(tmp_path, "{servers: _A_, response_timeout: 200ms}", server) as site,
    ):
        server.act = lambda sock: time.sleep(2)
        answer = ask(site.address, "/")
        assert answer.status == 504
        assert b"upstream_timeout" in answer.body


def test_read_timeout(tmp_path: Path) -> None:
    def stall(sock: socket.socket) -> bytes | None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        time.sleep(2)
        return None

    upstream = "{servers: _A_, response_timeout: 5s, read_timeout: 200ms}"
    with serving("_A_") as (server,), site_of(tmp_path, upstream, server) as site:
        server.act = stall
        began = time.monotonic()
        with pytest.raises(AssertionError, match="4 of 9 bytes"):
            ask(site.address, "/")
        assert time.monotonic() - began < 1.5
        lines = wait_until(lambda: (tmp_path / "access.log").read_text().splitlines(), 5)
        assert (logged(lines[0])["status"], logged(lines[0])["why"]) == ("200", "upstream_timeout")


def test_max_connections_and_queue(tmp_path: Path) -> None:
    def slowly(server: Server) -> bytes:
        time.sleep(0.3)
        return server.answer()

    upstream = "{servers: _A_, max_connections: 2, queue: {limit: 2, timeout: 5s}}"
    with serving("_A_") as (server,), site_of(tmp_path, upstream, server) as site:
        server.act = lambda sock: slowly(server)
        answers = at_once(site, 6)
        assert Counter(answer.status for answer in answers) == {200: 4, 503: 2}
        assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
        assert server.most == 2
        assert ask(site.address, "/fixed").status == 200
        lines = wait_until(
            lambda: len(found := (tmp_path / "access.log").read_text().splitlines()) >= 7 and found, 5
        )
        waited = [float(logged(line)["queued"]) for line in lines]
        assert sum(seconds > 0.1 for seconds in waited) == 2
        assert Counter(logged(line).get("why") for line in lines)["queue_full"] == 2


def test_queue_timeout(tmp_path: Path) -> None:
    let_go = threading.Event()
    upstream = "{servers: _A_, max_connections: 1, queue: {timeout: 200ms}}"
    with serving("_A_") as (server,), site_of(tmp_path, upstream, server) as site:
        server.act = lambda sock: server.answer() if let_go.wait(10) else None
        holder = threading.Thread(target=ask, args=(site.address, "/"))
        holder.start()
        wait_until(lambda: server.asked == 1, 5)
        answer = ask(site.address, "/")
        assert (answer.status, b"queue_timeout" in answer.body) == (503, True)
        let_go.set()
        holder.join(10)


def test_fall(tmp_path: Path) -> None:
    upstream = "{servers: [_A_, _B_], balance: round_robin, fall: 2}"
    with serving("_A_", "_B_") as (bad, good), site_of(tmp_path, upstream, bad, good) as site:
        bad.act = lambda sock: b"rubbish\r\n\r\n"
        assert shares(site, 12) == {"_B_": 12}
        assert bad.asked == 2
        bad.act = lambda sock: bad.answer()
        wait_until(lambda: "_A_" in shares(site, 1), 10, "its return")
        assert f"{bad.address} is left out for a moment after 2 failures in a row" in site.said()
        wait_until(lambda: f"{bad.address} is back" in site.said(), 5)


@pytest.mark.parametrize(
    ("retry", "statuses"),
    [
        ("off", {200, 502}),
        pytest.param("{attempts: 2, on: [connect]}", {200, 502}, marks=pytest.mark.slow),
        pytest.param("{attempts: 1, on: [connect, 502]}", {200, 502}, marks=pytest.mark.slow),
        ("{attempts: 2, on: [502]}", {200}),
    ],
)
def test_retry(tmp_path: Path, retry: str, statuses: set[int]) -> None:
    upstream = f"{{servers: [_A_, _B_], balance: round_robin, fall: off, retry: {retry}}}"
    with serving("_A_", "_B_") as (bad, good), site_of(tmp_path, upstream, bad, good) as site:
        bad.act = lambda sock: None
        assert {ask(site.address, "/").status for _ in range(6)} == statuses
        assert {ask(site.address, "/", method="DELETE").status for _ in range(6)} == {200, 502}


def test_what_follows_an_upgrade_that_is_not_granted_is_the_next_request(tmp_path: Path) -> None:
    """RFC 9110, 7.8. A front that believes in a tunnel now would let anything through it."""
    with serving("_A_") as (server,), site_of(tmp_path, "{servers: _A_}", server) as site:
        upgrade = "GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n"
        for status in ("200 OK", "426 Upgrade Required", "404 Not Found"):
            server.act = lambda sock, status=status: server.answer(status)
            with Talk(site.address) as talk:
                talk.say(upgrade + "GET /fixed HTTP/1.1\nHost: a\n\n")
                assert talk.answer().status == int(status[:3])
                assert talk.answer().body == b"well"
        server.act = lambda sock: b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n"
        with Talk(site.address) as talk:
            talk.say(upgrade + "GET /fixed HTTP/1.1\nHost: a\n\n")
            assert talk.answer().status == 502


@pytest.mark.slow
def test_a_reload_forgets_nothing_about_what_has_not_changed(tmp_path: Path) -> None:
    upstream = "{servers: [_A_, _B_], balance: round_robin, fall: 1}"
    with serving("_A_", "_B_") as (bad, good), site_of(tmp_path, upstream, bad, good) as site:
        bad.act = lambda sock: None
        shares(site, 4)
        site.file.write_text(site.file.read_text().replace("respond: well", "respond: better"))
        assert site.command("reload").returncode == 0
        assert ask(site.address, "/fixed").body == b"better"
        assert site.said().count("is left out") == 1
        assert good.most == 1  # and over the same connection
        site.file.write_text(site.file.read_text().replace("fall: 1", "fall: 3"))
        assert site.command("reload").returncode == 0
        shares(site, 2)
        wait_until(lambda: good.open == 1, 5, "the old connection's end")


@pytest.mark.parametrize(
    ("route", "asked", "lines"),
    [
        ('upstream: "HERE"', "/", []),
        pytest.param(
            'upstream: "HERE"', "/upgrade", ["Connection: upgrade", "Upgrade: x"], marks=pytest.mark.slow
        ),
        pytest.param('respond: x, forward_auth: "HERE/auth"', "/", [], marks=pytest.mark.slow),
    ],
)
def test_an_upstream_that_leads_back_here_is_asked_eight_times(
    tmp_path: Path, route: str, asked: str, lines: list[str]
) -> None:
    """And not until limits.connections: one request would shut out everybody."""
    here = f"127.0.0.1:{free_port()}"
    text = f"listen: {here}\nproxy: {{processes: 1}}\nlog: {{access: access.log}}\nroutes: [{{ROUTE}}]\n"
    with running(tmp_path, text.replace("ROUTE", route.replace("HERE", f"http://{here}"))) as site:
        assert ask(("127.0.0.1", site.port), asked, *lines).status in (502, 508)
        path = site.folder / "access.log"
        found = wait_until(lambda: text if len(text := path.read_text().splitlines()) >= 9 else None)
        whys = [logged(line).get("why", "") for line in found]
        assert len(found) == 9
        assert whys.count("upstream_loop") == 1
