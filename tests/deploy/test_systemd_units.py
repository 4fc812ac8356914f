"""The text of units: what differs from site to site, and what the shipped ones are made of."""

from pathlib import Path

import pytest

from trivet_deploy.systemd_plan import Plan, Sockets
from trivet_deploy.systemd_units import halves, units

SHIPPED = Path(__file__).parents[2] / "deploy" / "systemd"
ANN = Path("/home") / "ann"
# As after `trivet init systemd` for deploy/systemd/trivet.yaml, installed where its first lines say.
TRIVET = Plan(
    name="trivet",
    file=Path("/etc/trivet/trivet.yaml"),
    command=Path("/opt/trivet/bin/trivet"),
    user="trivet",
    run_dir=Path("/run/trivet"),
    sockets=(Sockets("http", ("0.0.0.0:80", "[::]:80")),),
    reads_home=(),
    writes_home=(),
    writes=(),
    pools=("web",),
    stop_timeout=25.0,
    descriptors=24096,
)


def directives(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_shipped_units_are_those_for_the_shipped_file() -> None:
    made = halves(TRIVET) | units(TRIVET)
    assert {path.name for path in SHIPPED.iterdir()} == {*made, "trivet.yaml"}
    for name, text in made.items():
        assert (SHIPPED / name).read_text() == text, f"{name}: write it again (see this test)"


def test_a_home_is_empty_but_for_what_is_needed() -> None:
    plan = TRIVET._replace(reads_home=(ANN / "ven v",), writes_home=(ANN / "100%:x",))
    service = directives(units(plan)["trivet.service"])
    assert "ProtectHome=tmpfs" in service
    assert f'BindReadOnlyPaths="{ANN}/ven v"' in service
    assert f"BindPaths={ANN}/100%%\\:x" in service
    # A proxy needs to read what its pools write, no more.
    proxy = directives(halves(plan)["trivet-proxy.service"])
    assert f"BindReadOnlyPaths={ANN}/100%%\\:x" in proxy
    assert not any(line.startswith("BindPaths") for line in proxy)


def test_without_homes_there_is_none() -> None:
    assert "ProtectHome=yes" in directives(units(TRIVET)["trivet.service"])


def test_a_proxy_without_upstreams_over_tcp_has_no_network_of_its_own() -> None:
    assert "PrivateNetwork=yes" in directives(halves(TRIVET)["trivet-proxy.service"])
    for more in (TRIVET._replace(reaches_out=True), TRIVET._replace(binds_itself=True)):
        assert "PrivateNetwork=yes" not in directives(halves(more)["trivet-proxy.service"])


def test_only_a_pool_beside_another_user_sees_the_machines_users() -> None:
    made = halves(TRIVET)
    assert "PrivateUsers=yes" in directives(made["trivet-proxy.service"])
    assert "PrivateUsers=yes" not in directives(made["trivet-backend@.service"])


def test_a_unix_socket() -> None:
    plan = TRIVET._replace(sockets=(Sockets("trivet-0", ("/run/x.sock",), "www-data", None),))
    text = directives(units(plan)["trivet.socket"])
    assert {"ListenStream=/run/x.sock", "SocketGroup=www-data", "SocketMode=0660"} <= set(text)
    assert "NoDelay=yes" not in text


@pytest.mark.parametrize(("run_dir", "is_made"), [("/run/trivet/shop", True), ("/var/lib/x", False)])
def test_the_run_directory_is_made_below_run_only(run_dir: str, is_made: bool) -> None:
    service = units(TRIVET._replace(run_dir=Path(run_dir)))["trivet.service"]
    assert ("RuntimeDirectory=trivet/shop" in service) == is_made


def test_every_directive_stands_once_but_for_lists() -> None:
    lists = ("SystemCallFilter", "ReadWritePaths", "BindPaths", "BindReadOnlyPaths", "ListenStream")
    for text in (halves(TRIVET) | units(TRIVET)).values():
        names = [line.partition("=")[0] for line in directives(text) if "=" in line]
        names = [name for name in names if name not in (*lists, "After")]
        assert len(names) == len(set(names))
