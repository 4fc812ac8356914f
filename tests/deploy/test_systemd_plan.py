"""What a unit is derived from: the file, who owns the application, what lies in a home."""

import getpass
import sys
from pathlib import Path

import pytest

from trivet_deploy.refusal import Refusal
from trivet_deploy.site import load_site
from trivet_deploy.systemd_plan import DEFAULT_USER, Plan, Sockets, plan

APP = "def application(environ, start_response): ...\n"


def planned(folder: Path, text: str) -> Plan:
    folder.mkdir(exist_ok=True)
    (folder / "hello.py").write_text(APP)
    (folder / "trivet.yaml").write_text(text)
    return plan(load_site(str(folder / "trivet.yaml")), Path("/opt/trivet/bin/trivet"))


def test_a_bare_port_is_a_socket_for_each_family(tmp_path: Path) -> None:
    found = planned(
        tmp_path / "shop", "listen: [80, 127.0.0.1:8080, '[::1]:81']\npools: {web: {app: hello}}\n"
    )
    assert found.name == "shop"
    assert found.sockets == (Sockets("shop", ("0.0.0.0:80", "[::]:80", "127.0.0.1:8080", "[::1]:81")),)
    assert not found.binds_itself
    assert found.run_dir == Path("/run/trivet/shop")


def test_descriptors_and_unix_sockets_have_units_of_their_own(tmp_path: Path) -> None:
    text = f"listen: ['fd:https', {{address: 'unix:{tmp_path}/s', mode: '0666'}}]\n"
    text += "pools: {web: {app: hello}}\n"
    assert planned(tmp_path / "shop", text).sockets == (
        Sockets("https", ("0.0.0.0:443", "[::]:443")),
        Sockets("shop-1", (f"{tmp_path}/s",), None, 0o666),
    )


def test_a_port_that_the_kernel_chooses_is_nobodys_socket_unit(tmp_path: Path) -> None:
    found = planned(tmp_path / "shop", "listen: 127.0.0.1:0\npools: {web: {app: hello}}\n")
    assert (found.sockets, found.binds_itself) == ((), True)


def test_the_user_is_the_applications_owner_or_our_own(tmp_path: Path) -> None:
    found = planned(tmp_path / "shop", "pools: {web: {app: hello}}\n")
    assert found.user == (DEFAULT_USER if getpass.getuser() == "root" else getpass.getuser())
    found = planned(tmp_path / "shop", "pools: {web: {app: hello, user: daemon}}\n")
    assert found.user == "daemon"


def test_two_users_are_one_too_many(tmp_path: Path) -> None:
    text = "routes: [{path: /a/, pool: a}, {path: /, pool: b}]\n"
    text += "pools: {a: {app: hello, user: daemon}, b: {app: hello, user: bin}}\n"
    with pytest.raises(Refusal, match=r"several users \(bin, daemon\)"):
        planned(tmp_path / "shop", text)


def test_what_is_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet_deploy.systemd_plan._HOMES", (tmp_path / "homes",))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "homes/ann/venv"))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    (tmp_path / "homes").mkdir()
    for name in ("elsewhere", "logs", "homes/static", "homes/pages", "homes/flags"):
        (tmp_path / name).mkdir()
    (tmp_path / "homes/pages/404.html").touch()
    text = f"""
log: {{access: {tmp_path}/logs/access.log}}
defaults:
  errors: {{404: {tmp_path}/homes/pages/404.html}}
  maintenance: {{when: {tmp_path}/homes/flags/on}}
routes: [{{path: /static/, files: {tmp_path}/homes/static}}, {{path: /, pool: web}}]
pools:
  web: {{app: hello, user: {getpass.getuser()}, env: {{DATA: ../../elsewhere, WORD: none, SLASH: /}}}}
"""
    found = planned(tmp_path / "homes/shop", text)
    assert found.writes_home == (tmp_path / "homes/shop",)
    wanted = ("ann/venv", "flags", "pages", "static")
    assert set(found.reads_home) == {tmp_path / "homes" / name for name in wanted}
    assert found.writes == (tmp_path / "elsewhere", tmp_path / "logs")


def test_upstreams_over_tcp_need_a_network(tmp_path: Path) -> None:
    assert not planned(tmp_path / "shop", "routes: [{path: /, upstream: 'unix:/run/x'}]\n").reaches_out
    assert planned(tmp_path / "shop", "routes: [{path: /, upstream: 'http://127.0.0.1:9'}]\n").reaches_out


def test_a_site_without_a_file_has_no_unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="a unit needs a file"):
        plan(load_site("hello"))


@pytest.mark.parametrize("run_dir", ["/run/trivet", "/run"])
def test_a_folder_of_others_is_no_run_directory(run_dir: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="write /run/trivet/shop, or leave it out"):
        planned(tmp_path / "shop", f"run_dir: {run_dir}\npools: {{web: {{app: hello}}}}\n")


def test_a_name_that_no_line_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no unit can name it"):
        planned(tmp_path / "a\nb", "pools: {web: {app: hello}}\n")


def test_a_number_is_no_name_of_a_socket(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"listen: fd:3: .* write a name, fd:http"):
        planned(tmp_path / "shop", "listen: fd:3\npools: {web: {app: hello}}\n")


def test_an_owner_without_a_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet_deploy.systemd_plan._owner", lambda path: 54321)
    assert planned(tmp_path / "shop", "pools: {web: {app: hello}}\n").user == "54321"


def test_what_the_proxy_itself_writes(tmp_path: Path) -> None:
    for name in ("logs", "kept", "spool", "sockets"):
        (tmp_path / name).mkdir()
    text = f"""
listen: [8000, "unix:{tmp_path}/sockets/s"]
log: {{access: {tmp_path}/logs/access.log}}
state_dir: {tmp_path}/kept
spool: {{dir: {tmp_path}/spool}}
pools: {{web: {{app: hello}}}}
"""
    found = planned(tmp_path / "shop", text)
    wanted = {tmp_path / name for name in ("logs", "kept", "spool", "sockets")}
    assert set(found.proxy_writes) == wanted
    assert wanted <= set(found.writes)
