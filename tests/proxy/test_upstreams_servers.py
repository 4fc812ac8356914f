"""upstreams/servers.py: the servers of now, as names change and processes share."""

import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from trivet_common.config import Upstream
from trivet_common.config.addresses import parse_server
from trivet_common.http1.errors import HttpError
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.upstreams.servers import Servers

NAMED, FIXED, LOCAL = (
    parse_server(text, Path("/")) for text in ("http://api.example:80", "http://10.0.0.9:80", "unix:/x")
)


class Claimant:
    def is_gone(self):
        return False

    def note_queued(self, seconds):
        pass


def servers_of(*places, index=0, processes=1, **terms):
    warnings = []
    made = Servers(Upstream("api", places, **terms), Deadlines(), warnings.append, index, processes)
    made.warnings = warnings
    return made


def lead(servers, *hosts):
    servers._take(NAMED, [(socket.AF_INET, (host, 80)) for host in hosts])


def titles(servers):
    return [server.title for server in servers._servers]


async def test_addresses_need_no_look():
    servers = servers_of(FIXED, LOCAL)
    assert titles(servers) == ["http://10.0.0.9:80", "unix:/x"]
    assert await servers.claim(Claimant(), set()) in servers._servers


async def test_new_addresses_are_used_and_gone_ones_finish():
    servers = servers_of(FIXED, NAMED)
    lead(servers, "10.0.0.1", "10.0.0.2")
    assert titles(servers) == ["http://10.0.0.9:80", "http://10.0.0.1:80", "http://10.0.0.2:80"]
    _, first, second = servers._servers
    first.enter()
    lead(servers, "10.0.0.2", "10.0.0.3")
    assert titles(servers) == ["http://10.0.0.9:80", "http://10.0.0.2:80", "http://10.0.0.3:80"]
    assert servers._servers[1] is second  # what is known of it stays
    assert first.is_gone
    first.leave()
    lead(servers, "10.0.0.1")
    assert servers._servers[1] is not first


async def test_an_address_of_ipv6_is_shown_in_brackets():
    servers = servers_of(NAMED)
    servers._take(NAMED, [(socket.AF_INET6, ("2001:db8::1", 80, 0, 0))])
    assert titles(servers) == ["http://[2001:db8::1]:80"]


async def test_each_process_holds_its_share_of_the_connections():
    shares = [servers_of(FIXED, max_connections=5, index=index, processes=3) for index in range(3)]
    assert [servers._most for servers in shares] == [2, 2, 2]  # rounded up
    servers = shares[0]
    for _ in range(2):
        assert await servers.claim(Claimant(), set())
    with trio.move_on_after(0.02) as scope:
        await servers.claim(Claimant(), set())
    assert scope.cancelled_caught


async def test_room_is_given_on(nursery):
    servers = servers_of(FIXED, max_connections=1)
    server = await servers.claim(Claimant(), set())
    found = []

    async def wait():
        found.append(await servers.claim(Claimant(), set()))

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert found == []
    server.leave()
    await trio.testing.wait_all_tasks_blocked()
    assert found == [server]
    assert server.busy == 1


async def test_none_is_left():
    servers = servers_of(FIXED)
    server = await servers.claim(Claimant(), set())
    assert not servers.has_other({server})
    assert await servers.claim(Claimant(), {server}) is None


async def test_only_the_first_process_speaks_of_names(monkeypatch):
    for index, said in ((0, 1), (1, 0)):
        servers = servers_of(parse_server("http://name.invalid", Path("/")), index=index, processes=2)
        with pytest.raises(HttpError) as caught:
            await servers.claim(Claimant(), set())
        assert (caught.value.status, caught.value.why) == (503, "upstream_unknown")
        assert len(servers.warnings) == said


async def test_statistics():
    servers = servers_of(FIXED, fall=1)
    server = await servers.claim(Claimant(), set())
    servers.note_failure(server, "refused")
    assert servers.statistics() == {
        "waiting": 0, "tunnels": 0, "servers": {"http://10.0.0.9:80": {"busy": 1, "standing": "out"}}
    }  # fmt: skip
    servers.note_success(server)
    assert [text.partition(": ")[2] for text in servers.warnings] == [
        "http://10.0.0.9:80 is left out for a moment after a failure (refused)",
        "http://10.0.0.9:80 is back",
    ]  # fmt: skip
