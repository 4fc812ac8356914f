"""Work in a process of its own: results, exceptions, and ends without a word."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trivet_common.config import ConfigError, Problem
from trivet_deploy import apart
from trivet_deploy.apart import run_apart
from trivet_deploy.refusal import Refusal


class Odd(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, one: str, *, two: str) -> None:
        super().__init__(one)
        self.two = two


def fail(error: Exception) -> None:
    raise error


def test_the_result_comes_back_and_nothing_else_changes() -> None:
    seen: list[int] = []
    assert run_apart(lambda: (seen.append(1), os.getpid())[1]) != os.getpid()
    assert seen == []


def test_a_large_result() -> None:
    assert len(run_apart(lambda: "x" * 3_000_000)) == 3_000_000


def test_mistakes_come_back_whole() -> None:
    problem = Problem("trivet.yaml:3", "what", "hint")
    with pytest.raises(ConfigError) as caught:
        run_apart(lambda: fail(ConfigError([problem])))
    assert caught.value.problems == [problem]


def test_an_exception_that_cannot_travel_keeps_its_words() -> None:
    with pytest.raises(RuntimeError, match="Odd: first"):
        run_apart(lambda: fail(Odd("first", two="second")))


def test_a_process_that_dies() -> None:
    with pytest.raises(Refusal, match="without a word"):
        run_apart(lambda: os._exit(3))


def test_a_process_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_LONGEST", 0.1)
    with pytest.raises(Refusal, match=r"took longer than 0\.1 s"):
        run_apart(signal.pause)


def test_whoever_watches_us_is_told_that_we_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_EVERY", 0.02)
    monkeypatch.setattr(apart, "_LONGEST", 0.2)
    told: list[float] = []
    with pytest.raises(Refusal):
        run_apart(signal.pause, lambda: told.append(time.monotonic()))
    assert 3 <= len(told) <= 10


def test_the_process_that_serves_holds_neither_pydantic_nor_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("pools: {web: {app: shop.wsgi}}\n")
    code = (
        "import sys; from trivet_deploy.site import load_site; import trivet_deploy.serve\n"
        "load_site('a.yaml').read(lambda: None)\n"
        "print({'pydantic', 'yaml', 'rich', 'trio', 'trivet_proxy', 'trivet_backend'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")
