"""A successor on the same sockets: the program as it is installed now, started beside us (USR2).

Owns how it is started and where it lives meanwhile: a run directory below ours, since ours is still in use.
Knows nothing of when we leave: the successor says so on its line to us, once it is ready.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from trivet_common.channel import Channel
from trivet_common.forking import fork
from trivet_common.inherited import FOREIGN, LINE, OWN, Inherited
from trivet_common.listeners import BoundListener

from .whereabouts import SECOND


def choose_run_dir(path: Path, inherited: Inherited) -> Path:
    """The site's own, or the other one when our predecessor lives in it."""
    return path / SECOND if inherited.predecessor and inherited.predecessor_dir == path else path


def start_successor(
    listeners: Iterable[BoundListener],
    run_dir: Path,
    environ: Mapping[str, str],
    complain: Callable[[str], None],
) -> tuple[int, Channel]:
    """The same command, run anew, with our listening sockets passed on: its pid and a line to it.

    Raises OSError.
    """
    ours, theirs = Channel.pair()
    sockets = [(listener.socket.fileno(), name_of(listener)) for listener in listeners]
    sockets.append((theirs.fileno(), LINE))

    def become() -> int:
        names = [name for _, name in sockets]
        passed = Inherited.environment(os.getpid(), names, os.getppid(), run_dir)
        _place([number for number, _ in sockets])
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environ, **passed})

    try:
        return fork(become, complain), ours
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()


def name_of(listener: BoundListener) -> str:
    """What it is found by where its address does not tell: a Unix socket was bound under another name."""
    listen = listener.listen
    if listen.kind == "fd":
        return listen.fd_name or ""
    if listener.is_foreign:
        return FOREIGN
    return Inherited.name_of_path(os.fspath(listen.path)) if listen.path is not None else OWN


def _place(numbers: list[int]) -> None:
    """To 3, 4, ... as sd_listen_fds(3) has it; first out of the way of each other."""
    above = 3 + len(numbers)
    moved = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, above) for number in numbers]
    for index, number in enumerate(moved):
        os.dup2(number, 3 + index, inheritable=True)
