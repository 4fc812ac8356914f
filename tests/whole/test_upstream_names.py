"""A name whose addresses change while clients ask: the new ones are used, those that are gone finish."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd
from tests.whole.drills import print_report
from tests.whole.resolver import NAME, Resolver, asking, why_not
from tests.whole.running import Site, started, wait_until
from tests.whole.talking import ask

CONFIG = """
proxy: {processes: 2}
log: {access: access.log}
upstreams: {named: "http://NAME:PORT", nowhere: "http://nobody.test"}
routes:
  - {path: /nowhere/, upstream: nowhere}
  - {path: /here, respond: well}
  - {path: /, upstream: named}
"""
EVERY = 10.0  # seconds between two lookups


class Echo(BaseHTTPRequestHandler):
    """Says the mark it was asked with, as a crowd wants it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = self.path.partition("mark=")[2].encode() + b" " + self.server.server_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(address: str, port: int = 0) -> Iterator[int]:
    with Server((address, port), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.drill
def test_addresses_change_twice_under_load(tmp_path: Path) -> None:
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    first, second, third = ["127.0.1.1", "127.0.1.2"], ["127.0.1.2", "127.0.1.3"], ["127.0.1.4"]
    resolver = Resolver(first)
    try:
        with ExitStack() as servers:
            port = servers.enter_context(serving(first[0]))
            for address in ("127.0.1.2", "127.0.1.3", "127.0.1.4"):
                servers.enter_context(serving(address, port))
            config = CONFIG.replace("NAME", NAME).replace("PORT", str(port))
            site = Site(tmp_path, config, verb="proxy", wrapped_in=asking(tmp_path))
            with started(site):
                check(site, resolver, second, third)
    finally:
        resolver.close()


def check(site: Site, resolver: Resolver, second: list[str], third: list[str]) -> None:
    shares = []
    with Crowd(site.address, 16, pause=0.002) as crowd:
        for addresses in (resolver.addresses, second, third):
            resolver.addresses = addresses
            changed = time.monotonic()
            look = partial(only, crowd, addresses, changed)
            wait_until(look, EVERY + 10, f"only {addresses} are asked")
            shares.append(f"{addresses}: only these after {time.monotonic() - changed:.1f} s")
    print_report(f"{len(crowd.visits)} requests", *shares, f"{resolver.asked} questions")
    assert crowd.outcomes().keys() == {"200"}
    assert len(crowd.visits) > 500
    # Of a name that nobody knows: a warning at the start, and a 503 for its route alone.
    assert "upstream nowhere: nobody.test does not resolve" in site.said()
    assert site.said().count("nobody.test does not resolve") == 1
    answer = ask(site.address, "/nowhere/")
    assert (answer.status, "retry-after" in answer.headers) == (503, True)
    assert b"upstream_unknown" in answer.body
    assert ask(site.address, "/here").body == b"well"


def only(crowd: Crowd, addresses: list[str], since: float) -> bool:
    """Whether of the last two hundred requests every one went to these, and some to each."""
    last = [visit for visit in crowd.visits if visit.sent > since][-200:]
    asked = {visit.said.split(b" ")[1].decode() for visit in last if visit.outcome == "200"}
    return len(last) == 200 and asked == set(addresses)
