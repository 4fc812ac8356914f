"""`trivet reload`: progress, the reason when it fails, and Ctrl-C."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet_common.asking import ControlError
from trivet_deploy import reload, running
from trivet_deploy.refusal import Refusal
from trivet_deploy.running import MasterAt

RUN = Path("/run/shop")


class Master:
    """Stands for the control socket of the topmost master."""

    def __init__(self, answer: Any, steps: tuple[str, ...] = ()) -> None:
        self.answer = answer
        self.steps = steps

    def ask(self, path: Path, request: Any, timeout: float, on_progress: Callable[[str], None]) -> Any:
        assert request == {"do": "reload"}
        for step in self.steps:
            on_progress(step)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(master: Master, *masters: str, terminal: bool = False) -> None:
        found = [MasterAt(what, Path(what)) for what in masters or ("serve",)]
        monkeypatch.setattr(reload, "ask", master.ask)
        monkeypatch.setattr(running, "topmost", lambda run_dir: found)
        monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)

    return install


def test_progress_is_a_line_each(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(Master({"ok": True}, ("pool web: 1 of 2 workers", "pool web: 2 \x1bof 2 workers")))
    assert reload.reload("shop.yaml", RUN) == 0
    said = capsys.readouterr()
    assert said.out == "shop.yaml: reloaded\n"
    assert said.err == "pool web: 1 of 2 workers\npool web: 2 \\x1bof 2 workers\n"


def test_on_a_terminal_one_line_is_drawn_again(
    install: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(Master({"ok": True}, ("1 of 2 workers", "2" * 100)), terminal=True)
    reload.reload("shop.yaml", RUN)
    err = capsys.readouterr().err
    assert err == f"\r\x1b[K1 of 2 workers\r\x1b[K{'2' * 70}\r\x1b[K"


def test_halves_are_named(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(Master({"ok": True}, ("1 of 1 workers",)), "pool web", "proxy")
    reload.reload("shop.yaml", RUN)
    assert capsys.readouterr().err == "pool web: 1 of 1 workers\nproxy: 1 of 1 workers\n"


def test_the_reason_comes_with_its_traceback(install: Callable[..., None]) -> None:
    problem = "pool web: app: importing shop failed\nTraceback (most recent call last):\n  x\x1b[2J\n"
    install(Master({"ok": False, "problem": problem}))
    with pytest.raises(Refusal) as refused:
        reload.reload("shop.yaml", RUN)
    assert str(refused.value) == (
        "reload failed: pool web: app: importing shop failed\nTraceback (most recent call last):\n"
        "  x\\x1b[2J\ntrivet: the release before it goes on"
    )
    assert refused.value.status == 1
    install(Master({"ok": False, "problem": "pool b: no (renewed already: pool a)"}))
    with pytest.raises(Refusal, match=r"renewed already: pool a\)\Z"):
        reload.reload("shop.yaml", RUN)
    install(Master({"ok": False, "problem": "a reload is already running"}), "pool web")
    with pytest.raises(Refusal, match=r"already running\Z"):
        reload.reload("shop.yaml", RUN)
    install(Master({"ok": False, "problem": "shop.yaml:3: unknown key"}))
    with pytest.raises(Refusal, match=r"unknown key\Z"):
        reload.reload("shop.yaml", RUN)


def test_ctrl_c_leaves_it_running(install: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    install(Master(KeyboardInterrupt()))
    assert reload.reload("shop.yaml", RUN) == 130
    assert "the reload goes on; how far it is says: trivet status shop.yaml" in capsys.readouterr().err


def test_nobody_answers(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "what_runs", lambda: iter(()))
    gone = ControlError("gone")
    gone.__cause__ = ConnectionRefusedError()
    install(Master(gone))
    with pytest.raises(Refusal, match="nothing runs for shop") as refused:
        reload.reload("shop.yaml", RUN)
    assert refused.value.status == 3
    monkeypatch.setattr(running, "topmost", lambda run_dir: [])
    with pytest.raises(Refusal, match="nothing runs for shop"):
        reload.reload("shop.yaml", RUN)
