"""`trivet check`: what it prints and its exit status, with applications that load and that do not."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from tests.whole.others import NOBODY, needs_root
from trivet_common.config import ConfigError, load
from trivet_deploy import check


def write_site(folder: Path, app: str, source: str, **keys: str) -> str:
    (folder / "hello.py").write_text(source)
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    (folder / "trivet.yaml").write_text(f"pools:\n  web:\n    app: {app}\n{lines}")
    return str(folder / "trivet.yaml")


@pytest.fixture(autouse=True)
def anybody(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that run as root load applications of root's, which the command refuses."""
    if "as_root" not in request.node.name:
        monkeypatch.setattr(check, "user_for", lambda pool: pool.user or str(os.geteuid()))


WSGI = "def app(environ, start_response):\n    return []\n"


def test_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_site(tmp_path, "hello:app", WSGI)
    assert check.check(file, "serve", False) == 0
    assert capsys.readouterr() == (f"{file}: ok, 1 route, 1 pool\n", "")


def test_mistakes_are_the_configurations_own_words(tmp_path: Path) -> None:
    file = write_site(tmp_path, "hello:app", WSGI, wrokers="2")
    with pytest.raises(ConfigError) as wrong:
        check.check(file, "serve", False)
    assert str(wrong.value).startswith(f"{file}:4: ")


def test_warnings_do_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_site(tmp_path, "hello:app", WSGI)
    with open(file, "a") as opened:
        opened.write("routes:\n  - {path: /api, pool: web}\n")
    assert check.check(file, "serve", False) == 0
    said = capsys.readouterr()
    assert said.out.endswith("ok, 1 route, 1 pool\n")
    assert f"{file}:5: warning: " in said.err


def test_an_application_that_loads(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = "import os\nprint('hello from ' + os.environ['PLACE'])\n" + WSGI
    file = write_site(tmp_path, "hello:app", source, env="{PLACE: here}")
    assert check.check(file, "serve", True) == 0
    said = capfd.readouterr()
    assert said.out.startswith("pool web: hello:app loads in ")
    assert said.out.endswith(f"{file}: ok, 1 route, 1 pool\n")
    assert said.err == "hello from here\n", "what it prints is not part of our answer"


@pytest.mark.parametrize(
    ("app", "source", "said"),
    [
        ("hello:app", "import nowhere_to_be_found\n", "nowhere_to_be_found"),
        ("hello:application", WSGI, "hello:app"),
        ("hello:app", "async def app(scope, receive, send):\n    pass\n", "ASGI"),
        ("hello:app", "import os\nos._exit(3)\n", "ended the process while it was loaded (exit status 3)"),
        ("hello:app", "import os\nos.kill(os.getpid(), 9)\n", "(signal 9)"),
        ("nowhere:app", WSGI, "nowhere"),
    ],
)
def test_an_application_that_does_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], app: str, source: str, said: str
) -> None:
    file = write_site(tmp_path, app, source)
    assert check.check(file, "serve", True) == 1
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"{file}:2: pool web: ")
    assert said in told.err


@pytest.mark.parametrize(
    ("keys", "source", "said"),
    [
        ({"post_fork": "hello:conect"}, "", "post_fork: hello:conect failed: AttributeError"),
        ({"worker_exit": "hooks:close"}, "", "worker_exit: hooks:close failed: ModuleNotFoundError"),
        ({"post_fork": "hello:number"}, "number = 3\n", "post_fork: hello:number is not a function"),
        (
            {"preload": "true"},
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(60,), name='exporter', daemon=True).start()\n",
            "starts threads while it is loaded (exporter)",
        ),
    ],
)
def test_what_a_worker_needs_besides(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], keys: dict[str, str], source: str, said: str
) -> None:
    file = write_site(tmp_path, "hello:app", source + WSGI, **keys)
    assert check.check(file, "serve", True) == 1
    assert said in capfd.readouterr().err
    good = write_site(tmp_path, "hello:app", source + WSGI, post_fork="hello:app", preload="{threads: allow}")
    assert check.check(good, "serve", True) == 0


def test_an_application_that_waits_for_ever(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "LOAD_TIMEOUT", 0.5)
    file = write_site(tmp_path, "hello:app", "import time\ntime.sleep(60)\n")
    assert check.check(file, "serve", True) == 1
    assert "was not loaded within 0.5 s" in capfd.readouterr().err


def test_the_schema_is_json() -> None:
    assert json.loads(check.schema())["properties"]["pools"]


@needs_root
def test_as_root_an_application_is_its_folders_owners(capfd: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = write_site(
            folder,
            "hello:app",
            "import os\nprint(os.getresuid(), os.environ['PLACE'])\n" + WSGI,
            env="{PLACE: here}",
        )
        assert check.check(file, "serve", True) == 1
        said = capfd.readouterr().err
        assert "it would be loaded with all the rights of root" in said
        assert "user: NAME" in said
        os.chown(folder, NOBODY, -1)
        assert check.check(file, "serve", True) == 0
        assert capfd.readouterr().err == f"({NOBODY}, {NOBODY}, {NOBODY}) here\n"


def test_a_queue_that_is_shorter_than_a_backends_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_site(tmp_path, "hello:app", WSGI, queue="{timeout: 10s}")
    for purpose in ("proxy", "backend"):
        assert check.check(file, purpose, False) == 0
        said = capsys.readouterr().err
        assert f"{file}:2: warning: pool web: requests wait 10 s (queue: timeout)" in said
        assert "may take 25 s (stop_timeout)" in said
    assert check.check(file, "serve", False) == 0
    assert capsys.readouterr().err == ""
    for longer in ({"queue": "{timeout: 40s}"}, {"queue": "{limit: 10}"}, {}):
        file = write_site(tmp_path, "hello:app", WSGI, **longer)
        for purpose in ("proxy", "backend"):
            assert check.check(file, purpose, False) == 0
            assert "queue" not in capsys.readouterr().err


def test_a_proxy_alone_waits_for_as_long_as_its_backend_may_need_to_restart(tmp_path: Path) -> None:
    file = write_site(tmp_path, "hello:app", WSGI)
    found = {purpose: load(file, purpose=purpose) for purpose in ("serve", "proxy", "backend")}
    assert {purpose: each.pools["web"].queue.timeout for purpose, each in found.items()} == {
        "serve": 10.0,
        "proxy": 35.0,
        "backend": 35.0,
    }
    Path(file).write_text(Path(file).read_text() + "stop_timeout: 1m\n")
    assert load(file, purpose="proxy").pools["web"].queue.timeout == 70.0
    written = write_site(tmp_path, "hello:app", WSGI, queue="{timeout: 5s}")
    assert load(written, purpose="proxy").pools["web"].queue.timeout == 5.0
