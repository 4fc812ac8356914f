"""The asking side of a control socket: a line of JSON to a master, its answer, whether one listens at all.

Owns what is believed of whoever answers. Knows no request's meaning.
"""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trivet_common.peers import is_trusted_in, peer_of

_LONGEST_ANSWER = 16 * 1024 * 1024
_PROGRESS = b'{"progress": '


class ControlError(Exception):
    """Nobody answers on this control socket, or not in time, or not in our language; the text says which."""


def ask(
    path: Path,
    request: dict[str, Any],
    timeout: float,
    on_progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Ask the master that listens at `path`. Raises ControlError; `timeout` in seconds for all of it.

    With `on_progress` the master may tell how far it is before it answers.
    """
    if on_progress is not None:
        request = {**request, "progress": True}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        until = time.monotonic() + timeout
        asker.settimeout(timeout)
        try:
            asker.connect(os.fspath(path))
            _check_answerer(asker, path)
            asker.sendall(json.dumps(request).encode() + b"\n")
            answer = _read_all(asker, until, on_progress)
        except TimeoutError as error:
            raise ControlError(f"{path}: no answer within {timeout:g} s") from error
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror or error}") from error
    try:
        parsed = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ControlError(f"{path}: the answer ended early") from error
    if not isinstance(parsed, dict):
        raise ControlError(f"{path}: not an answer")
    return parsed


def is_listening(path: Path) -> bool:
    """Whether a master has its control socket at `path`; one with a full backlog is busy, not gone."""
    return listener_at(path) is not None


def listener_at(path: Path) -> int | None:
    """The process that made the control socket at `path`, if one listens; 0 where that cannot be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(0.2)
        try:
            asker.connect(os.fspath(path))
            _check_answerer(asker, path)
            return peer_of(asker).pid
        except (TimeoutError, BlockingIOError):
            return 0
        except (OSError, ControlError):
            return None


def _read_all(asker: socket.socket, until: float, on_progress: Callable[[str], None] | None) -> bytes:
    """The answer, without the lines of progress before it."""
    pieces = bytearray()
    while len(pieces) < _LONGEST_ANSWER:
        asker.settimeout(max(until - time.monotonic(), 0.001))
        data = asker.recv(65536)
        if not data:
            break
        pieces += data
        while on_progress is not None and pieces.startswith(_PROGRESS) and b"\n" in pieces:
            line, _, pieces = pieces.partition(b"\n")
            on_progress(_progress(line))
    return bytes(pieces)


def _progress(line: bytes | bytearray) -> str:
    try:
        return str(json.loads(line)["progress"])
    except (ValueError, KeyError):
        return "…"


def _check_answerer(asker: socket.socket, path: Path) -> None:
    if not is_trusted_in(path.parent, uid := peer_of(asker).uid):
        raise ControlError(f"{path}: uid {uid} listens there, who is none of the site's masters")
