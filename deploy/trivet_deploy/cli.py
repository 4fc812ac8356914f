"""The console script `trivet`. Sends a probe its own short way and everything else to the commands.

A probe runs every few seconds in every container: it must not pay for click, pydantic, YAML or rich.
"""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    _hold_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["status"] and any(word.startswith("--probe") for word in words):
        from . import probe

        return probe.main(words[1:])
    from . import commands

    return commands.main(words)


def _hold_standard_streams() -> None:
    """Started with one of them closed, a lock or a listening socket would get its number: the log would be
    written into it, and every program that an application starts would inherit it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one
