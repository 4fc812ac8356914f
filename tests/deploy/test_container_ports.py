"""Which ports of a container are published, and which files must be changed before they can be."""

from pathlib import Path

import pytest

from trivet_common.config import TrustedProxies
from trivet_common.config.settings import Listen
from trivet_common.config.tls import Pair, Tls
from trivet_deploy.container_ports import Port, ports
from trivet_deploy.refusal import Refusal

TLS = Tls((Pair(Path("/c.pem"), Path("/k.pem")),))


def tcp(port: int, host: str | None = None, **more: object) -> Listen:
    return Listen(f"{host or ''}:{port}", "tcp", host=host, port=port, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("listen", [tcp(8000, "127.0.0.1"), Listen("fd:http", "fd", fd_name="http")])
def test_an_only_plain_address_that_nobody_could_reach_becomes_another(listen: Listen) -> None:
    found = ports([listen])
    assert found.is_given
    assert found.published == (Port("http", 8080, 80),)
    assert "port 8080 is listened on instead" in found.notes[0]


def test_the_files_own_are_kept() -> None:
    found = ports([tcp(8080), tcp(8443, "0.0.0.0", tls=TLS), tcp(8443, "::", tls=TLS)])
    assert not found.is_given
    assert found.published == (Port("http", 8080, 80), Port("https", 8443, 443))
    assert not found.has_privileged
    assert not found.notes


def test_several_of_a_scheme_keep_their_numbers_and_have_names_of_their_own() -> None:
    found = ports([tcp(80), tcp(8080), tcp(443, tls=TLS)])
    assert found.published == (Port("http", 80, 80), Port("http-8080", 8080, 8080), Port("https", 443, 443))
    assert found.has_privileged


def test_an_address_for_the_inside_is_told() -> None:
    found = ports([tcp(443, tls=TLS), tcp(9000, "127.0.0.1"), Listen("unix:/s", "unix", path=Path("/s"))])
    assert [port.number for port in found.published] == [443]
    assert [note.split(" is ")[0] for note in found.notes] == ["listen: 127.0.0.1:9000", "listen: unix:/s"]


def test_networks_of_a_proxy_protocol_are_told() -> None:
    found = ports([tcp(443, tls=TLS, proxy_protocol=TrustedProxies(()))])
    assert "must be one of them" in found.notes[0]


@pytest.mark.parametrize(
    ("listeners", "why"),
    [
        ([tcp(443, "127.0.0.1", tls=TLS)], "not reached from outside of a container"),
        ([tcp(8000, "127.0.0.1", scheme="https")], "not reached from outside of a container"),
        (
            [tcp(80), Listen("fd:https", "fd", fd_name="https", tls=TLS)],
            "no socket is passed into a container",
        ),
        ([tcp(80), tcp(0)], "port must be known"),
        ([tcp(443, "192.0.2.7", tls=TLS)], 'write ":443"'),
    ],
)
def test_what_cannot_be_is_refused(listeners: list[Listen], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        ports(listeners)
