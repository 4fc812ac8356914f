"""`trivet status`: who is asked, and how often; what is shown of it is test_page's."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trivet_common.asking import ControlError
from trivet_deploy import page, running, status
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
    "crashes": 1,
    "last_reload": {"ok": False, "problem": "it does not load\nTraceback (most recent call last):"},
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
        "pool web: shop.wsgi, 1 of 2 workers ready, 1 of 2 slots busy",
        "  4 requests done by these workers, 1 crash",
        "  the last reload failed, the release before it goes on:",
        "    it does not load",
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
    assert page.lines(told)[-1].text == "no answer: proxy: proxy.sock: no answer within 5 s"
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
    assert ": stopping, up" in page.lines(status.collect("x", Path("/run")))[0].text


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "12")


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal(monkeypatch)
    marked = POOL | {"workers": [{"incarnation": 1, "slots": [BUSY | {"path": "/[red]"}]}]}
    Masters(pool_web=marked).install(monkeypatch)
    status.show("shop.yaml", Path("/run/shop"), as_json=False)
    assert "GET /[red]" in capsys.readouterr().out


class Clock:
    """Stands for time.sleep: so many looks, then Ctrl-C."""

    def __init__(self, looks: int, between: Any = lambda: None) -> None:
        self.left = looks
        self._between = between

    def rest(self, seconds: float) -> None:
        assert seconds == status.EVERY
        self.left -= 1
        self._between()
        if self.left == 0:
            raise KeyboardInterrupt


def test_watch_shows_it_again_until_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Masters(pool_web=POOL).install(monkeypatch)
    assert status.watch("shop.yaml", Path("/run/shop"), as_json=False, rest=Clock(3).rest) == 0
    assert capsys.readouterr().out.count("pool web: shop.wsgi") == 3
    status.watch("shop.yaml", Path("/run/shop"), as_json=True, rest=Clock(2).rest)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["pools"]["web"] for line in lines] == [POOL, POOL]


def test_watch_waits_for_a_site_that_is_started_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Masters(pool_web=POOL).install(monkeypatch)
    monkeypatch.setattr(running, "what_runs", lambda: iter(()))
    clock = Clock(2, lambda: Masters().install(monkeypatch))
    status.watch("shop.yaml", Path("/run/shop"), as_json=False, rest=clock.rest)
    assert "no answer: nothing runs for shop.yaml" in capsys.readouterr().out
    with pytest.raises(Refusal):
        status.watch("shop.yaml", Path("/run/shop"), as_json=False, rest=clock.rest)


def test_watch_on_a_terminal_leaves_the_last_page_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(monkeypatch)
    many = POOL | {"workers": [POOL["workers"][0] | {"slots": [{"state": "idle"}] * 30 + [BUSY]}]}
    Masters(pool_web=many).install(monkeypatch)
    status.watch("shop.yaml", Path("/run/shop"), as_json=False, rest=Clock(2).rest)
    shown = capsys.readouterr().out
    assert shown.rstrip().splitlines()[-1].endswith("GET /slow")
    assert shown.count("idle") >= 30


def test_a_small_terminal_shows_the_busy_slots_first(monkeypatch: pytest.MonkeyPatch) -> None:
    many = POOL | {"workers": [POOL["workers"][0] | {"slots": [{"state": "idle"}] * 30 + [BUSY]}]}
    Masters(pool_web=many).install(monkeypatch)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(status._drawn(status.collect("shop.yaml", Path("/run/shop")), height=12))
    lines = console.export_text().rstrip().splitlines()
    assert "GET /slow" in next(line for line in lines if line.startswith("web"))
    assert lines[-1] == "and 27 more slots"
    assert len(lines) <= 12
