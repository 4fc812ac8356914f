"""`trivet status`: what is shown of what masters say; halves and versions may leave things out."""

import json
from pathlib import Path
from typing import Any

import pytest

from trivet_common.control import ControlError
from trivet_deploy import running, status
from trivet_deploy.refusal import Refusal
from trivet_deploy.running import MasterAt

SERVE = {
    "ok": True,
    "name": "shop",
    "file": "/srv/shop.yaml",
    "pid": 7,
    "uptime": 65,
    "ready": True,
    "listen": ["[::]:80"],
}
PROXY = {
    "ok": True,
    "processes": [
        {"pid": 8, "waiting": 2, "oldest_wait": 0.25, "connections": 5, "requests": 70},
        {"pid": 9, "waiting": 1, "oldest_wait": 1.25, "connections": 4, "requests": 1},
    ],
}
BUSY = {"state": "running", "done": 4, "method": "GET", "path": "/slow", "request_id": "r", "seconds": 2.0}
POOL = {
    "ok": True,
    "app": "shop.wsgi",
    "ready": 1,
    "wanted": 2,
    "restarts": 1,
    "last_reload_problem": "it does not load\nTraceback",
    "workers": [
        {"incarnation": 3, "pid": 11, "age": 3700, "slots": [BUSY, {"state": "idle", "done": 0}]},
        {"incarnation": 4, "pid": 12, "age": 0.2, "state": "starting", "slots": []},
    ],
}


class Masters:
    """Stands for the control sockets of a run directory."""

    def __init__(self, **answers: Any) -> None:
        self._answers = {name.replace("_", " "): answer for name, answer in answers.items()}

    def at(self, *names: str) -> list[MasterAt]:
        return [MasterAt(name, Path(name)) for name in self._answers if name.split()[0] in names]

    def ask(self, path: Path, request: dict[str, Any], timeout: float) -> Any:
        answer = self._answers[str(path)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status, "ask", self.ask)
        monkeypatch.setattr(running, "topmost", lambda run_dir: self.at("serve") or self.at("pool", "proxy"))
        monkeypatch.setattr(running, "halves", lambda run_dir: self.at("pool", "proxy"))


def test_everything_on_one_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Masters(serve=SERVE, pool_web=POOL, proxy=PROXY).install(monkeypatch)
    assert status.show("shop.yaml", Path("/run/shop"), as_json=False) == 0
    page, _, table = capsys.readouterr().out.partition("\n\n")
    assert page.splitlines() == [
        "shop (/srv/shop.yaml): ready, up 1 m 5 s, process 7",
        "listening: [::]:80",
        "proxy: 2 processes (8, 9), 9 connections, 71 requests, 3 waiting (the oldest for 1.2 s)",
        "pool web: shop.wsgi, 1 of 2 workers ready, 1 of 2 slots busy, 4 requests done, 1 restart",
        "  the last reload failed: it does not load",
    ]
    assert table.splitlines() == [
        "pool  worker  pid  age      slot  state     for    done  request",
        "web   w3      11   1 h 1 m  0     running   2.0 s  4     GET /slow",
        "web   w3      11   1 h 1 m  1     idle             0",
        "web   w4      12   0.2 s    0     starting",
    ]


def test_json_is_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Masters(serve=SERVE, pool_web=POOL, proxy=PROXY).install(monkeypatch)
    status.show("shop.yaml", Path("/run/shop"), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["pools"]["web"] == POOL
    assert (told["serve"], told["proxy"], told["problems"]) == (SERVE, PROXY, [])


def test_halves_alone_and_a_master_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    Masters(pool_web=POOL, proxy=ControlError("proxy.sock: no answer within 5 s")).install(monkeypatch)
    told = status.collect("shop.yaml", Path("/run/shop"))
    assert status.summary(told)[-1] == "no answer: proxy: proxy.sock: no answer within 5 s"
    assert told["serve"] is None


def test_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ControlError("gone")
    gone.__cause__ = ConnectionRefusedError()
    for masters in (Masters(), Masters(serve=gone)):
        masters.install(monkeypatch)
        with pytest.raises(Refusal, match=r"nothing runs for shop\.yaml") as refused:
            status.collect("shop.yaml", Path("/run/shop"))
        assert refused.value.status == 3


def test_stopping_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    Masters(serve=SERVE | {"phase": "draining"}).install(monkeypatch)
    assert ": stopping, up" in status.summary(status.collect("x", Path("/run")))[0]


def test_a_path_cannot_drive_the_terminal() -> None:
    row = status.slot_rows(
        {
            "pools": {
                "web": {
                    "workers": [{"incarnation": 1, "slots": [BUSY | {"path": "/\x1b]0;x\x07é" + "y" * 99}]}]
                }
            }
        }
    )[0]
    assert row[-1].startswith("GET /\\x1b]0;x\\x07\\xe9yyy")
    assert len(row[-1]) < 90


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    rows = status.slot_rows(
        {"pools": {"web": {"workers": [{"incarnation": 1, "slots": [BUSY | {"path": "/[red]"}]}]}}}
    )
    status.print_table(rows)
    assert "GET /[red]" in capsys.readouterr().out
