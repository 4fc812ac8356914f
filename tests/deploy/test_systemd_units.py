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
    run_dir=Path("/run/trivet/trivet"),
    sockets=(Sockets("http", ("0.0.0.0:80", "[::]:80")),),
    reads_home=(),
    writes_home=(),
    writes=(),
    proxy_writes_home=(),
    proxy_writes=(),
    pools=("web",),
    proxy_sockets=(Sockets("http", ("0.0.0.0:80", "[::]:80")),),
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
    lists = (
        "SystemCallFilter",
        "ExecStart",
        "ReadWritePaths",
        "BindPaths",
        "BindReadOnlyPaths",
        "ListenStream",
    )
    for text in (halves(TRIVET) | units(TRIVET)).values():
        names = [line.partition("=")[0] for line in directives(text) if "=" in line]
        names = [name for name in names if name not in (*lists, "After")]
        assert len(names) == len(set(names))


def test_names_with_a_meaning_to_systemd_are_written_so_that_they_have_none() -> None:
    odd = Path("/srv/a b%h$HOME'x\"y\\z")
    plan = TRIVET._replace(
        file=odd / "trivet.yaml", command=odd / "trivet", run_dir=odd / "run", writes=(odd,)
    )
    argument = '"/srv/a b%%h$$HOME\'x\\"y\\\\z/trivet.yaml"'
    # A variable is not looked for in the name of the program.
    program = argument.replace("$$", "$").replace("/trivet.yaml", "/trivet")
    service = directives(units(plan)["trivet.service"])
    assert f"ExecStart={program} serve {argument}" in service
    assert f"ExecReload={program} reload {argument}" in service
    assert 'ReadWritePaths="/srv/a b%%h$HOME\'x\\"y\\\\z"' in service
    backend = directives(halves(plan)["trivet-backend@.service"])
    assert f"ExecStart={program} backend {argument} --pool %i --beside trivet-proxy" in backend
    assert 'Environment="RUNTIME_DIRECTORY=/srv/a b%%h$HOME\'x\\"y\\\\z/run"' in backend


def test_a_percent_sign_in_a_sockets_path_is_one() -> None:
    plan = TRIVET._replace(sockets=(Sockets("x", ("/run/100% x.sock",)),))
    assert "ListenStream=/run/100%% x.sock" in directives(units(plan)["trivet.socket"])


def test_no_number_of_failures_is_the_last() -> None:
    for text in (halves(TRIVET) | units(TRIVET)).values():
        if "Type=notify" in text:
            head, _, rest = text.partition("[Service]")
            assert "StartLimitIntervalSec=0" in head
            assert "Restart=always" in rest


def test_halves_and_whole_never_serve_one_site_at_a_time_and_only_the_whole_removes_the_folder() -> None:
    made = halves(TRIVET)
    for name in ("trivet-proxy.service", "trivet-backend@.service"):
        lines = directives(made[name])
        assert "Conflicts=trivet.service trivet.socket" in lines
        assert "After=trivet.service trivet.socket" in lines
        assert not any(line.startswith("RuntimeDirectory") for line in lines)
        assert any(line.startswith("Requires=") and "trivet-folder.service" in line for line in lines)
    folder = directives(made["trivet-folder.service"])
    assert "ExecStart=/usr/bin/install -d -m 3770 -o root -g trivet /run/trivet/trivet" in folder
    assert "Conflicts=trivet.socket" in directives(made["trivet-proxy.socket"])
    assert "RuntimeDirectory=trivet/trivet" in directives(units(TRIVET)["trivet.service"])


def test_a_proxy_may_write_its_logs_and_no_more() -> None:
    plan = TRIVET._replace(
        writes_home=(ANN / "shop",),
        proxy_writes_home=(ANN / "shop/log",),
        proxy_writes=(Path("/var/log/shop"),),
    )
    lines = directives(halves(plan)["trivet-proxy.service"])
    assert "ReadWritePaths=/run/trivet/trivet" in lines
    assert "ReadWritePaths=/var/log/shop" in lines
    assert f"BindReadOnlyPaths={ANN}/shop" in lines
    assert f"BindPaths={ANN}/shop/log" in lines


def test_a_pools_own_addresses_are_passed_to_its_own_unit() -> None:
    """The proxy's had them: it wanted none, and the pool found its port taken by systemd."""
    http, own = Sockets("http", ("0.0.0.0:80",)), Sockets("trivet-1", ("/run/x.sock",))
    plan = TRIVET._replace(sockets=(http, own), proxy_sockets=(http,), pool_sockets=(("web", (own,)),))
    made = halves(plan)
    assert directives(made["trivet-proxy.socket"])[3:] == [
        "After=trivet.socket trivet-trivet-1.socket", "[Socket]", "ListenStream=0.0.0.0:80",
        "FileDescriptorName=http", "Service=trivet-proxy.service", "Backlog=4096", "NoDelay=yes",
        "[Install]", "WantedBy=sockets.target",
    ]  # fmt: skip
    pool = directives(made["trivet-backend@web.socket"])
    assert "ListenStream=/run/x.sock" in pool
    assert "Service=trivet-backend@web.service" in pool
    assert "Conflicts=trivet.socket trivet-trivet-1.socket" in pool
    assert pool[-1] == "WantedBy=sockets.target trivet-backend@web.service"
    assert [name for name in made if name.endswith(".socket")] == [
        "trivet-proxy.socket",
        "trivet-backend@web.socket",
    ]
    assert "ListenStream=/run/x.sock" in directives(units(plan)["trivet-trivet-1.socket"])
