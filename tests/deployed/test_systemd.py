"""The units in a booted machine: activation, readiness, reload, restart, watchdog, hardening, two users."""

import re
import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.deployed.machine import Machine
from tests.deployed.tools import ROOT

pytestmark = pytest.mark.deployed

EXAMPLES = ROOT / "deploy/examples"
# A version, so that a reload is seen; a shift of work, so that requests are in flight.
HELLO = """
import os, time
def application(environ, start_response):
    time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"version 1"]
"""
# A sign of life every two seconds: a test need not wait half a minute.
SHORT = "[Service]\nWatchdogSec=8\n"
CAPABILITIES = """
import glob, json
found = {}
for path in glob.glob("/proc/[0-9]*/status"):
    try:
        text = open(path).read()
        title = open(path[:-6] + "cmdline").read()
    except OSError:
        continue
    if title.startswith("trivet: "):
        rows = dict(line.split(":\\t", 1) for line in text.splitlines() if ":\\t" in line)
        wanted = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Uid")
        found[title.strip("\\0 ")] = [rows[name] for name in wanted]
print(json.dumps(found))
"""
FETCH = """
import json, urllib.request
with urllib.request.urlopen("http://127.0.0.1:%d%s", timeout=30) as answer:
    print(json.dumps([answer.status, answer.read().decode()]))
"""


UPLOAD = """
import json, urllib.request
head = b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="note.txt"\\r\\n\\r\\n'
data = head + b"n" * 200000 + b"\\r\\n--x--\\r\\n"
headers = {"Content-Type": "multipart/form-data; boundary=x"}
request = urllib.request.Request("http://127.0.0.1/files/", data, headers)
with urllib.request.urlopen(request, timeout=30) as answer:
    print(json.dumps([answer.status, answer.read().decode()]))
"""
STOP = """
import glob, os, signal
for path in glob.glob("/proc/[0-9]*/cmdline"):
    title = open(path).read().strip("\\0 ")
    if title == "trivet: %s" or title.startswith("trivet: %s ("):
        os.kill(int(path.split("/")[2]), signal.SIGSTOP)
        print(1)
"""
HOME = "/".join(["", "home", "ann"])
ODD = r"""my site: 100%h $HOME "a" 'b' \c"""
SITE = """
listen: 80
routes:
  - {path: /files/, pool: flask}
  - {path: /, pool: shop}
pools:
  flask: {app: "app:app", directory: flask_site, workers: 1, env: {SITE_DATA: ../data}}
  shop:
    queue: {timeout: 60s}
    app: shop.wsgi
    directory: django_shop
    workers: 1
    prepare: ["/opt/trivet/bin/python manage.py migrate --noinput --verbosity 0"]
"""


def wait_until(what: Callable[[], object], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def hello(machine: Machine) -> Iterator[str]:
    """The shipped units with the shipped file; the application is /srv/trivet/wsgi.py."""
    for path in (ROOT / "deploy/systemd").glob("trivet*"):
        if path.suffix in (".service", ".socket"):
            shutil.copy(path, machine.tree / "etc/systemd/system" / path.name)
    machine.write("/etc/sysusers.d/trivet.conf", (ROOT / "deploy/systemd/trivet.sysusers.conf").read_text())
    machine.write("/etc/trivet/trivet.yaml", (ROOT / "deploy/systemd/trivet.yaml").read_text())
    machine.write("/srv/trivet/wsgi.py", HELLO)
    machine.run("systemd-sysusers")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "trivet.socket")
    yield "trivet.service"
    machine.run("systemctl", "stop", "trivet.socket", "trivet.service", check=False)
    assert "trivet" not in machine.run("ls", "/run/trivet", check=False).split()


def test_the_first_connection_starts_it_and_ready_means_ready(machine: Machine, hello: str) -> None:
    assert machine.show(hello, "ActiveState") == "inactive"
    assert machine.python(FETCH % (80, "/")) == [200, "version 1"]
    wait_until(lambda: machine.show(hello, "ActiveState") == "active")
    assert machine.show(hello, "NotifyAccess") == "main"
    assert re.match(
        r"running; web: \d of \d+ slots busy, 0 waiting, \d+ served", machine.show(hello, "StatusText")
    )


def test_port_80_is_served_by_a_plain_user_without_a_capability(machine: Machine, hello: str) -> None:
    found = machine.python(CAPABILITIES)
    assert len(found) >= 5  # three masters, a proxy process, a worker
    uid = machine.run("id", "-u", "trivet").strip()
    assert uid != "0"
    for title, (*capabilities, uids) in found.items():
        assert set(capabilities) == {"0000000000000000"}, title
        assert uids.split() == [uid] * 4, title


def test_exposure(machine: Machine, hello: str) -> None:
    levels = {}
    for unit in ("trivet.service", "trivet-proxy.service", "trivet-backend@web.service"):
        told = machine.run("systemd-analyze", "security", "--no-pager", unit)
        levels[unit] = float(re.search(r"Overall exposure level for \S+: (\S+)", told)[1])  # type: ignore[index]
    print(f"exposure: {levels}")
    assert levels["trivet-proxy.service"] <= 1.5
    assert max(levels.values()) <= 3.0
    assert not machine.run("systemd-analyze", "verify", "--man=no", *levels, "trivet.socket").strip()


def test_a_reload_under_load_loses_nothing_and_says_why_it_fails(machine: Machine, hello: str) -> None:
    load = machine.load("http://127.0.0.1/")
    machine.write("/srv/trivet/wsgi.py", HELLO.replace("version 1", "version 2"))
    machine.run("systemctl", "reload", hello)
    assert machine.python(FETCH % (80, "/"))[1] == "version 2"
    machine.write("/srv/trivet/wsgi.py", "import nothing_of_the_kind\n")
    assert "failed" in machine.run("systemctl", "reload", hello, check=False).lower()
    assert "nothing_of_the_kind" in machine.journal(hello)
    machine.write("/srv/trivet/wsgi.py", HELLO)
    assert machine.show(hello, "ActiveState") == "active"
    result = load.result()
    assert list(result["found"]) == ["200"], result
    assert {"version 1", "version 2"} == set(result["bodies"])


def test_a_restart_under_load_refuses_nobody(machine: Machine, hello: str) -> None:
    before = machine.main_pid(hello)
    load = machine.load("http://127.0.0.1/")
    machine.run("systemctl", "restart", hello)
    assert machine.main_pid(hello) != before
    result = load.result()
    print(f"restart under load: {result['found']}, longest wait {result['longest']:.1f} s")
    assert list(result["found"]) == ["200"], result


@pytest.fixture
def watched(machine: Machine, hello: str) -> Iterator[str]:
    drop_in = machine.tree / f"etc/systemd/system/{hello}.d/short.conf"
    machine.write(f"/etc/systemd/system/{hello}.d/short.conf", SHORT)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", hello)
    yield hello
    drop_in.unlink()
    machine.run("systemctl", "daemon-reload")


@pytest.mark.parametrize("which", ["serve trivet", "pool web"])
def test_a_stopped_master_is_found_by_the_watchdog(machine: Machine, watched: str, which: str) -> None:
    before = machine.main_pid(watched)
    restarts = int(machine.show(watched, "NRestarts"))
    assert machine.python(STOP % (which, which)) == 1
    wait_until(lambda: int(machine.show(watched, "NRestarts")) > restarts, 60)
    assert machine.python(FETCH % (80, "/"))[0] == 200
    assert machine.main_pid(watched) != before
    assert "watchdog" in machine.journal(watched).lower()


def test_the_halves_are_two_users_of_one_group(machine: Machine, hello: str) -> None:
    """And take the place of the whole, as it takes theirs, with nothing done by hand about their folder."""
    machine.run("systemctl", "start", hello)
    machine.run("systemctl", "start", "trivet-proxy.socket", "trivet-backend@web.service")
    assert machine.show(hello, "ActiveState") == machine.show("trivet.socket", "ActiveState") == "inactive"
    try:
        assert machine.python(FETCH % (80, "/")) == [200, "version 1"]
        found = machine.python(CAPABILITIES)
        users = {title: uids.split()[0] for title, (*_, uids) in found.items()}
        proxy, pool = (machine.run("id", "-u", name).strip() for name in ("trivet-proxy", "trivet"))
        assert {uid for title, uid in users.items() if "proxy" in title} == {proxy}
        assert {uid for title, uid in users.items() if "proxy" not in title} == {pool}
        load = machine.load("http://127.0.0.1/")
        machine.run("systemctl", "restart", "trivet-backend@web.service")
        machine.run("systemctl", "restart", "trivet-proxy.service")
        assert list(load.result()["found"]) == ["200"]
        assert "slots busy" in machine.show("trivet-backend@web.service", "StatusText")
        assert "processes" in machine.show("trivet-proxy.service", "StatusText")
        told = machine.run("/opt/trivet/bin/trivet", "status", "/etc/trivet/trivet.yaml")
        assert "ready" in told
        machine.run("systemctl", "start", "trivet.socket", hello)
        for unit in ("trivet-proxy.socket", "trivet-proxy.service", "trivet-backend@web.service"):
            assert machine.show(unit, "ActiveState") == "inactive"
        assert machine.python(FETCH % (80, "/")) == [200, "version 1"]
    finally:
        machine.run(
            "systemctl", "stop", "trivet-proxy.socket", "trivet-proxy.service", "trivet-backend@web.service"
        )


def test_it_is_started_again_however_often_it_has_failed(machine: Machine, hello: str) -> None:
    machine.run("systemctl", "start", hello)
    file = (ROOT / "deploy/systemd/trivet.yaml").read_text()
    machine.write("/etc/trivet/trivet.yaml", "listen: nowhere\n")
    try:
        machine.run("systemctl", "restart", hello, check=False)
        wait_until(lambda: int(machine.show(hello, "NRestarts")) >= 7, 60)
    finally:
        machine.write("/etc/trivet/trivet.yaml", file)
    wait_until(lambda: machine.show(hello, "ActiveState") == "active")
    assert machine.python(FETCH % (80, "/")) == [200, "version 1"]


def test_another_address_is_the_sockets_matter(machine: Machine, hello: str) -> None:
    """As docs/deploy.md has it: neither a reload nor a restart of the service changes where it is reached."""
    unit = (ROOT / "deploy/systemd/trivet.socket").read_text()
    file = (ROOT / "deploy/systemd/trivet.yaml").read_text()
    machine.write("/etc/systemd/system/trivet.socket", unit.replace(":80\n", ":8081\n"))
    try:
        machine.run("systemctl", "restart", hello)
        assert machine.python(FETCH % (80, "/")) == [200, "version 1"]
        machine.write("/etc/trivet/trivet.yaml", file.replace('"fd:http"', "8081"))
        machine.run("systemctl", "restart", hello, check=False)
        assert machine.show(hello, "ActiveState") != "active"
        assert "systemd listens on 0.0.0.0:80 and [::]:80" in machine.journal(hello)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "trivet.socket", hello)
        assert machine.python(FETCH % (8081, "/")) == [200, "version 1"]
    finally:
        machine.write("/etc/trivet/trivet.yaml", file)
        machine.write("/etc/systemd/system/trivet.socket", unit)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "trivet.socket", hello)


def test_a_site_in_a_home_runs_under_the_unit_made_for_it(machine: Machine) -> None:
    """Django with SQLite, and an upload, as their owner; nothing of another home is seen. Its folder's name
    has whatever systemd would give a meaning."""
    machine.run("useradd", "--create-home", "ann")
    machine.run("useradd", "--create-home", "bob")
    home = machine.tree / HOME[1:] / ODD
    for example in ("django_shop", "flask_site"):
        shutil.copytree(
            EXAMPLES / example, home / example, ignore=shutil.ignore_patterns("data", "__pycache__")
        )
    machine.write(f"{HOME}/{ODD}/site.yaml", SITE)
    (home / "data").mkdir()
    machine.run("chown", "-R", "ann:ann", HOME)
    machine.run(
        "/opt/trivet/bin/trivet",
        "init",
        "systemd",
        f"{HOME}/{ODD}/site.yaml",
        "--to",
        "/etc/systemd/system",
    )
    unit = (machine.tree / "etc/systemd/system/site.service").read_text()
    assert "User=ann\n" in unit
    assert "ProtectHome=tmpfs\n" in unit
    assert not machine.run("systemd-analyze", "verify", "--man=no", "site.service", "site.socket").strip()
    machine.run("systemctl", "daemon-reload")
    machine.run(
        "systemctl", "stop", "trivet.socket", "trivet.service", check=False
    )  # port 80 is theirs so far
    machine.run("systemctl", "start", "site.socket")
    try:
        status, page = machine.python(FETCH % (80, "/"))
        assert status == 200
        assert "html" in page
        posted = machine.python(UPLOAD)
        assert posted[0] == 200
        assert "note.txt" in posted[1]
        owner = (machine.tree / HOME[1:]).stat().st_uid
        database = home / "django_shop/data/shop.sqlite3"
        assert database.stat().st_uid == owner
        assert [path.stat().st_uid for path in (home / "data").rglob("*") if path.is_file()] != []
        seen = machine.run("nsenter", "-t", str(machine.main_pid("site.service")), "-m", "ls", "/home", HOME)
        assert "bob" not in seen
        assert ".bashrc" not in seen
    finally:
        machine.run("systemctl", "stop", "site.socket", "site.service")
