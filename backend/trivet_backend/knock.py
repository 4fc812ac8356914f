"""A question to a slot that seems deaf: a request with a claim nobody has, which a slot turns away unrun.

Owns the connection. That a slot takes none of the tokens proves nothing against it: whoever reads them may
be unable to reach it (no descriptor left), or another worker lies about its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

# How long (s) a slot that listens may take to turn it away: it is idle, and needs a millisecond.
PATIENCE = 1.0
_QUESTION = b"GET / HTTP/1.1\r\nhost: localhost\r\ntrivet-claim: 0 0\r\n\r\n"


def knock(
    path: Path, call_later: Callable[[float, Callable[[], None]], None], then: Callable[[bool], None]
) -> None:
    """`then` hears, a moment later, whether anybody is there; where we could not ask, somebody is."""
    try:
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError:  # no descriptor left
        call_later(0.0, lambda: then(True))
        return
    try:
        door.connect(str(path))
        door.send(_QUESTION)
    except OSError:
        pass  # a full backlog, or nobody listens: there will be no answer

    def listen() -> None:
        with door:
            is_there = _has_input(door)
        then(is_there)

    call_later(PATIENCE, listen)


def _has_input(door: socket.socket) -> bool:
    try:
        return bool(door.recv(1))
    except OSError:
        return False
