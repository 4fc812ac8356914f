"""What a pool's configuration has a worker call at its beginning and at its end: `module:function`.

Knows no worker.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from typing import Any


class HookError(Exception):
    """A hook that is not there, or that raised; the text has the traceback."""


def call_hook(key: str, name: str | None) -> None:
    """Call the function that `key` of the configuration names, if any. Raises HookError, nothing else."""
    if name is None:
        return
    hook = find_hook(key, name)
    try:
        hook()
    except BaseException as error:  # sys.exit() too: a worker leaves when its master says so
        raise _failed(key, name, error) from None


def find_hook(key: str, name: str) -> Callable[[], object]:
    """The function, not called: `trivet check --app` asks for no more. Raises HookError, nothing else."""
    module, _, function = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except BaseException as error:
        raise _failed(key, name, error) from None
    if not callable(found):
        raise HookError(f"{key}: {name} is not a function")
    hook: Callable[[], object] = found
    return hook


def _failed(key: str, name: str, error: BaseException) -> HookError:
    """One line, and the traceback below our own frame, where there is any."""
    what = f"{key}: {name} failed: " + " ".join(f"{type(error).__name__}: {error}".split())
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    if trace is None:
        return HookError(what)
    return HookError(f"{what}\n{''.join(traceback.format_exception(type(error), error, trace)).rstrip()}")
