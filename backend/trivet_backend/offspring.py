"""Processes that the application forks: copies of the worker that must not go on being it.

A view that forks, and a child that ends with sys.exit() or returns, would give its slot two processes; one
that lives on would keep our connections open when the worker is killed. Knows no request and no slot.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import NoReturn

# Of this process: false in the worker, true in whatever was forked from it after `watch`.
is_copy = False
# Not empty while threads of this process fork (one entry each), and for ever in the copy: no request is
# interrupted then.
forks: list[None] = []


def watch(let_go: Callable[[], None]) -> None:
    """From now on call `let_go` in every process forked from this one, to close what is the worker's."""

    def be_copy() -> None:
        global is_copy
        if is_copy:
            return  # a copy's own child: there is nothing left to let go of
        is_copy = True
        let_go()

    # Not functions of ours: an exception on its way to this thread would strike in their first line, where it
    # is printed and forgotten. What is registered last runs first.
    os.register_at_fork(before=partial(forks.append, None), after_in_parent=forks.pop, after_in_child=be_copy)


def leave(error: BaseException | None = None) -> NoReturn:
    """The application is through in a copy: it ends here, with the status that sys.exit() asked for."""
    code = error.code if isinstance(error, SystemExit) else int(error is not None)
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))
