"""Listeners, servers and trusted networks."""

import pickle
from pathlib import Path

import pytest

from trivet_common.config.addresses import Listen, Server, parse_listen, parse_networks, parse_server
from trivet_common.config.problems import Mistake

HERE = Path("/srv/shop")


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:8000", Listen("127.0.0.1:8000", "tcp", "127.0.0.1", 8000)),
        ("localhost:0", Listen("localhost:0", "tcp", "localhost", 0)),
        ("8000", Listen("8000", "tcp", None, 8000)),
        (":8000", Listen(":8000", "tcp", None, 8000)),
        ("*:8000", Listen("*:8000", "tcp", None, 8000)),
        ("[::]:80", Listen("[::]:80", "tcp", "::", 80)),
        ("[0:0::1]:80", Listen("[0:0::1]:80", "tcp", "::1", 80)),
        ("unix:/run/a.sock", Listen("unix:/run/a.sock", "unix", path=Path("/run/a.sock"))),
        ("unix:run/a.sock", Listen("unix:run/a.sock", "unix", path=HERE / "run/a.sock")),
        ("fd:http", Listen("fd:http", "fd", fd_name="http")),
    ],
)
def test_listeners(text: str, listen: Listen) -> None:
    assert parse_listen(text, HERE) == listen
    assert pickle.loads(pickle.dumps(listen)) == listen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "127.0.0.1",
        "1.2.3.4:70000",
        "1.2.3.4:",
        "::1",
        "::1:80",
        "[::1]",
        "[::g]:80",
        "unix:",
        "fd:",
        "fd:a/b",
        "http://a",
        "/run/x",
        "a b:80",
        "host:80/x",
        "-:80",
        "[1.2.3.4]:80",
        "*:x",
        "unix://run/x",
        "\uff41:\uff18\uff10",
    ],
)
def test_what_is_no_listener(text: str) -> None:
    with pytest.raises(Mistake):
        parse_listen(text, HERE)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("http://127.0.0.1:9000", Server("http://127.0.0.1:9000", "http", "127.0.0.1", 9000)),
        ("http://app", Server("http://app", "http", "app", 80)),
        ("http://app/", Server("http://app", "http", "app", 80)),
        ("http://[::1]:9000", Server("http://[::1]:9000", "http", "::1", 9000)),
        ("https://app", Server("https://app", "https", "app", 443)),
        ("https://127.0.0.1:8443", Server("https://127.0.0.1:8443", "https", "127.0.0.1", 8443)),
        ("unix:/run/a.sock", Server("unix:/run/a.sock", path=Path("/run/a.sock"))),
    ],
)
def test_servers(text: str, server: Server) -> None:
    assert parse_server(text, HERE) == server


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app",
        "app:80",
        "https://app/x",
        "https://",
        "http://",
        "http://:80",
        "http://a:0",
        "http://u:p@a",
        "http://a/b",
        "http://a?b",
        "uwsgi://a:1",
        "unix:",
        "http://a:b:1",
    ],
)
def test_what_is_no_server(text: str) -> None:
    with pytest.raises(Mistake):
        parse_server(text, HERE)


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("172.31.0.1", True),
        ("172.32.0.1", False),
        ("192.168.1.1", True),
        ("127.0.0.1", True),
        ("169.254.1.1", True),
        ("8.8.8.8", False),
        ("::1", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:8.8.8.8", False),
        ("garbage", False),
        ("", False),
        (None, False),
    ],
)
def test_trust(peer: str | None, trusted: bool) -> None:
    assert parse_networks(["private", "2001:db8::/32"]).trusts(peer) is trusted


@pytest.mark.parametrize(
    ("word", "peer"),
    [
        ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("::ffff:0:0/96", "192.0.2.7"),
    ],
)
def test_an_ipv4_network_in_ipv6_form_is_that_ipv4_network(word: str, peer: str) -> None:
    """Peers are known by IPv4 addresses: as IPv6 it would hold nobody, without a word."""
    assert parse_networks([word]).trusts(peer)
    assert not parse_networks([word]).trusts("2001:db8::1")


def test_nobody_is_trusted_by_default_and_unix_by_name_only() -> None:
    assert not parse_networks([]).trusts("127.0.0.1")
    assert not parse_networks([]).trusts(None)
    assert parse_networks(["unix"]).trusts(None)
    assert not parse_networks(["unix"]).trusts("127.0.0.1")
