"""Loads one application in a process of its own and reports on a descriptor how that went.

Run by `trivet check --app` as `python -m trivet_deploy.application_check FD`, the wish on standard input.
"""

import json
import os
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

from trivet_backend.application import AppError, load_application
from trivet_backend.hooks import HookError, find_hook
from trivet_backend.privileges import DropError, become, find_identity

_TOO_MANY = "preload: the application starts threads while it is loaded ({}), and workers would lack them"
_INSTEAD = "start them in post_fork, or write preload: {threads: allow}"


def main() -> None:
    """Read the wish, load, report."""
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    wish = json.loads(sys.stdin.buffer.read())
    sys.stdin = open(os.devnull)  # noqa: SIM115 (for the rest of the process)
    with os.fdopen(report, "w") as file:
        json.dump(attempt(wish), file)


def attempt(wish: dict[str, Any]) -> dict[str, Any]:
    """Load the application `wish` names and say how it went."""
    began = time.monotonic()
    try:
        identity = find_identity(wish["user"], wish["group"])
        if identity is not None:
            become(identity)
        os.environ.update(wish["env"])
        load_application(SimpleNamespace(**wish))
        for key, name in wish["hooks"].items():
            find_hook(key, name)
    except AppError as error:
        return {"ok": False, "text": error.text, "hint": error.hint, "trace": error.trace}
    except HookError as error:
        text, _, trace = str(error).partition("\n")
        return {"ok": False, "text": text, "trace": trace}
    except DropError as error:
        return {"ok": False, "text": str(error)}
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads and wish["is_alone"]:
        return {"ok": False, "text": _TOO_MANY.format(", ".join(threads)), "hint": _INSTEAD}
    return {"ok": True, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    main()
