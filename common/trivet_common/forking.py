"""One process becomes two: what must be settled around fork(2) so that the child is nobody's copy.

Owns signals, streams and the exit of a child. Knows neither master nor channel.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

# What a master acts on.
SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)
# Sent to a whole group (a terminal's ^C, `pkill -USR1 trivet`): the topmost master decides what they mean.
_NOT_FOR_CHILDREN = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# By default they stop a process. Ignored, they are not sent: who reads a terminal in the background gets EIO,
# where a handler that returns would have it try, and its whole group hear the signal, for ever.
_OF_TERMINALS = (signal.SIGTTIN, signal.SIGTTOU)
# EX_SOFTWARE of sysexits.h: the child ended before it could say anything.
_DIED_UNHEARD = 70


def fork(body: Callable[[], int], complain: Callable[[str], None]) -> int:
    """The pid of a child that runs `body` and exits with what it returns. Raises OSError.

    `complain` is given the traceback of what `body` raises.
    """
    _flush()  # or the child would write it once more
    # Signals wait while there are two of us: the child must not run the master's handlers.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(body, complain, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _be_child(
    body: Callable[[], int], complain: Callable[[str], None], mask: set[int | signal.Signals]
) -> NoReturn:
    status = _DIED_UNHEARD
    try:
        _reset_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        gc.freeze()
        status = body()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        complain(traceback.format_exc())
    finally:
        try:
            _flush()
        finally:
            os._exit(status & 0xFF)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for signum in SIGNALS:
        # Handlers that do nothing, not SIG_IGN: programs that an application starts would inherit that.
        signal.signal(signum, _do_nothing if signum in _NOT_FOR_CHILDREN else signal.SIG_DFL)
    for signum in _OF_TERMINALS:
        signal.signal(signum, signal.SIG_IGN)


def _do_nothing(_signum: int, _frame: object) -> None:
    pass


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # a closed pipe, a full disk, no stream at all: nothing that should keep anyone from forking
