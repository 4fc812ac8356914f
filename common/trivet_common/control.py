"""The control socket of a master: an operator's requests and their answers as lines of JSON.

Owns the socket (0600, peers of our own uid or root only) and the framing. Knows no request's meaning.
"""

import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A request is a few words; an answer (status of hundreds of workers) may be long. Both are bounded.
_LONGEST_REQUEST = 4096
_LONGEST_ANSWER = 16 * 1024 * 1024
_MOST_CLIENTS = 16


class ControlError(Exception):
    """Nobody answers on this control socket, or not in time, or not in our language; the text says which."""


class Reply:
    """The answer that one asker waits for; may be given later."""

    __slots__ = ("_socket",)

    def __init__(self, asker: socket.socket) -> None:
        self._socket: socket.socket | None = asker

    def finish(self, answer: dict[str, Any]) -> None:
        """Answer, once. An asker that has left is no error."""
        asker, self._socket = self._socket, None
        if asker is None:
            return
        try:
            # Blocking with a bound: the asker is our own command and reads at once.
            asker.settimeout(1.0)
            asker.sendall(json.dumps(answer).encode() + b"\n")
            # Not left to close(): a child forked while the asker waited has a copy of the descriptor.
            asker.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        finally:
            asker.close()


Answer = Callable[[dict[str, Any], Reply], None]


class ControlServer:
    """Listens on a path; `attach` puts it into a master's loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clients: dict[socket.socket, bytearray] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        # Bound under another name and renamed: never a moment with a socket others could use or find dead.
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._listener.bind(os.fspath(fresh))
        finally:
            os.umask(before)
        self._listener.listen(_MOST_CLIENTS)
        os.rename(fresh, path)
        self._inode = path.lstat().st_ino

    def attach(
        self,
        watch: Callable[[Any, Callable[[], None]], None],
        unwatch: Callable[[Any], None],
        answer: Answer,
    ) -> None:
        self._watch, self._unwatch, self._answer = watch, unwatch, answer
        watch(self._listener, self._accept)

    def close(self) -> None:
        """Stop listening and remove our own path (a successor may have put its own there already)."""
        self.close_in_child()
        try:
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass

    def close_in_child(self) -> None:
        self._listener.close()
        for client in self._clients:
            client.close()
        self._clients.clear()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= _MOST_CLIENTS or not _is_ours(client):
            client.close()
            return
        client.setblocking(False)
        self._clients[client] = bytearray()
        self._watch(client, lambda: self._read(client))

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(_LONGEST_REQUEST)
        except OSError:
            data = b""
        line = self._clients[client]
        line += data
        if b"\n" in line:
            self._forget(client)
            self._handle(bytes(line), client)
        elif not data or len(line) > _LONGEST_REQUEST:
            self._forget(client)
            client.close()

    def _forget(self, client: socket.socket) -> None:
        self._unwatch(client)
        del self._clients[client]

    def _handle(self, line: bytes, client: socket.socket) -> None:
        reply = Reply(client)
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict):
            self._answer(request, reply)
        else:
            reply.finish({"ok": False, "problem": "a request is one line of JSON: an object"})


def ask(path: Path, request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Ask the master that listens at `path`. Raises ControlError; `timeout` in seconds for each wait."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(timeout)
        try:
            asker.connect(os.fspath(path))
            asker.sendall(json.dumps(request).encode() + b"\n")
            answer = _read_all(asker)
        except TimeoutError as error:
            raise ControlError(f"{path}: no answer within {timeout:g} s") from error
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror or error}") from error
    try:
        parsed = json.loads(answer)
    except ValueError as error:
        raise ControlError(f"{path}: the answer ended early") from error
    if not isinstance(parsed, dict):
        raise ControlError(f"{path}: not an answer")
    return parsed


def _read_all(asker: socket.socket) -> bytes:
    pieces = bytearray()
    while len(pieces) < _LONGEST_ANSWER:
        data = asker.recv(65536)
        if not data:
            break
        pieces += data
    return bytes(pieces)


def _is_ours(client: socket.socket) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # not Linux: the rights of the path are the only guard
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())
