"""post_fork and worker_exit: called, or a sentence and a traceback why not."""

import sys
from pathlib import Path

import pytest

from trivet_backend.hooks import HookError, call_hook


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_hooks.py").write_text(
        "calls = []\n"
        "def hello(): calls.append(1)\n"
        "class Tracing:\n    @staticmethod\n    def start(): calls.append(2)\n"
        "def broken(): raise ValueError('no\\ndatabase')\n"
        "def leaving(): raise SystemExit(3)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shop_hooks", raising=False)


def test_none_is_none() -> None:
    call_hook("post_fork", None)


@pytest.mark.usefixtures("module")
def test_a_function_is_called_without_arguments() -> None:
    call_hook("post_fork", "shop_hooks:hello")
    call_hook("post_fork", "shop_hooks:Tracing.start")
    assert sys.modules["shop_hooks"].calls == [1, 2]


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("shop_hooks:broken", "ValueError: no database"),
        ("shop_hooks:leaving", "SystemExit: 3"),
        ("shop_hooks:missing", "has no attribute 'missing'"),
        ("no_such_module:f", "No module named 'no_such_module'"),
    ],
)
def test_what_fails_says_how(name: str, why: str) -> None:
    with pytest.raises(HookError) as caught:
        call_hook("worker_exit", name)
    first, *rest = str(caught.value).split("\n")
    assert first.startswith(f"worker_exit: {name} failed: ")
    assert why in first
    # Whose function is not there needs no traceback: it would say the same again.
    assert ("missing" in name) == (rest == [])
    assert not rest or rest[0].startswith("Traceback")
    assert "call_hook" not in str(caught.value)
