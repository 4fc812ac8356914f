"""The console script `trivet`. Sends a probe its own short way and everything else to the commands.

A probe runs every few seconds in every container: it must not pay for click, pydantic, YAML or rich.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["status"] and any(word.startswith("--probe") for word in words):
        from . import probe

        return probe.main(words[1:])
    from . import commands

    return commands.main(words)
