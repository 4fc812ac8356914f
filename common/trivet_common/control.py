"""The control socket of a master: an operator's requests and their answers as lines of JSON.

Owns the socket (0600, peers of our own uid or root only) and the framing. Knows no request's meaning.
"""

import errno
import json
import os
import socket
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path
from typing import Any

from trivet_common.foreign import refuse_descriptors
from trivet_common.loop import Loop
from trivet_common.peers import peer_of

# A request is a few words; an answer (status of hundreds of workers) may be long.
_LONGEST_REQUEST = 4096
_MOST_ASKERS = 64
# How much of a long answer's beginning may wait for an asker that reads slowly; more of it is left out.
_LONGEST_PROGRESS = 64 * 1024
# How long (s) an asker may take to say what it wants, and to take the answer: our own command needs a moment.
_PATIENCE = 5.0
# How long (s) not to accept after there was no descriptor for it; the connection stays in the backlog.
_REST = 0.5


class Reply:
    """The answer that one asker waits for; may be given later, and what becomes of it told meanwhile."""

    __slots__ = ("_send", "_wants_progress")

    def __init__(self, send: Callable[[bytes, bool], None]) -> None:
        self._send: Callable[[bytes, bool], None] | None = send
        self._wants_progress = False

    def follow(self, request: dict[str, Any]) -> None:
        """Learn from the request whether progress is wanted: an earlier version's command reads one line."""
        self._wants_progress = request.get("progress") is True

    def progress(self, text: str) -> None:
        """Tell an asker that wants to know how far it is."""
        if self._send is not None and self._wants_progress:
            self._send(_line({"progress": text}), False)

    def finish(self, answer: dict[str, Any]) -> None:
        """Answer, once, without waiting. An asker that has left is no error."""
        send, self._send = self._send, None
        if send is not None:
            send(_line(answer), True)


Answer = Callable[[dict[str, Any], Reply], None]


class ControlServer:
    """Listens on a path; `attach` puts it into a master's loop. Hidden, it is not there until it is shown."""

    def __init__(self, path: Path, *, is_hidden: bool = False) -> None:
        self._path = path
        self._askers: set[_Asker] = set()
        self._listener: socket.socket | None = None
        self._loop: Loop | None = None
        if not is_hidden:
            self._open()

    def __repr__(self) -> str:
        return f"<ControlServer {self._path} askers={len(self._askers)}>"

    def attach(self, loop: Loop, answer: Answer) -> None:
        self._loop, self._answer = loop, answer
        self._watch()

    def show(self) -> None:
        """Listen, if we do not yet. Raises OSError."""
        if self._listener is None:
            self._open()
            self._watch()

    def hide(self) -> None:
        """Listen no more (a successor may have put its own path there); who has asked is still answered."""
        if self._listener is None:
            return
        try:
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass
        if self._loop is not None:
            self._loop.unwatch(self._listener)
        self._listener.close()
        self._listener = None

    def close(self) -> None:
        """Stop listening, remove our own path, answer nobody."""
        self.hide()
        self.close_in_child()

    def close_in_child(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for asker in self._askers:
            asker.socket.close()
        self._askers.clear()

    def _open(self) -> None:
        self._listener = _listen(self._path)
        self._inode = self._path.lstat().st_ino

    def _watch(self) -> None:
        if self._loop is not None and self._listener is not None:
            self._loop.unwatch(self._listener)  # hidden and shown again, in the middle of a rest
            self._loop.watch(self._listener, self._accept)

    def _accept(self) -> None:
        if self._listener is None or self._loop is None:
            return
        try:
            client, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # It stays readable: without a rest the loop would spin for as long as descriptors are short.
                self._loop.unwatch(self._listener)
                self._loop.call_later(_REST, self._watch)
            return
        if len(self._askers) >= _MOST_ASKERS or not _is_ours(client):
            client.close()
            return
        self._askers.add(_Asker(client, self._loop, self._handle, self._askers.discard))

    def _handle(self, line: bytes, reply: Reply) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict):
            reply.follow(request)
            self._answer(request, reply)
        else:
            reply.finish({"ok": False, "problem": "a request is one line of JSON: an object"})


class _Stage(Enum):
    """Of an asker's life; moves forward only."""

    READING = auto()
    WAITING = auto()
    SENDING = auto()
    GONE = auto()


class _Asker:
    """One connection: says a line, waits for the answer, is sent it."""

    __slots__ = ("_bytes", "_forget", "_handle", "_loop", "_stage", "socket")

    def __init__(
        self,
        client: socket.socket,
        loop: Loop,
        handle: Callable[[bytes, Reply], None],
        forget: "Callable[[_Asker], None]",
    ) -> None:
        client.setblocking(False)
        self.socket = client
        self._loop = loop
        self._handle = handle
        self._forget = forget
        self._stage = _Stage.READING
        self._bytes = bytearray()  # of the request, then of the answer
        loop.watch(client, self._read)
        loop.call_later(_PATIENCE, lambda: self._leave_if(_Stage.READING))

    def __repr__(self) -> str:
        return f"<_Asker {self._stage.name} {len(self._bytes)} bytes>"

    def _read(self) -> None:
        try:
            data = self.socket.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._bytes += data
        line, end, _ = self._bytes.partition(b"\n")
        if end and len(line) <= _LONGEST_REQUEST:
            self._loop.unwatch(self.socket)
            self._stage = _Stage.WAITING
            self._bytes.clear()
            self._handle(bytes(line), Reply(self._tell))
        elif not data or end or len(line) > _LONGEST_REQUEST:
            self._leave()

    def _tell(self, line: bytes, is_last: bool) -> None:
        if self._stage is not _Stage.WAITING or (len(self._bytes) > _LONGEST_PROGRESS and not is_last):
            return
        if is_last:
            self._stage = _Stage.SENDING
            self._loop.call_later(_PATIENCE, lambda: self._leave_if(_Stage.SENDING))
        if not self._bytes:
            self._loop.watch(self.socket, self._send, to_write=True)
        self._bytes += line
        self._send()

    def _send(self) -> None:
        """As much as the kernel takes; an asker that never reads holds nobody up."""
        try:
            del self._bytes[: self.socket.send(self._bytes)]
        except BlockingIOError:
            return
        except OSError:
            self._leave()
            return
        if self._bytes:
            return
        if self._stage is _Stage.SENDING:
            self._leave()
        else:
            self._loop.unwatch(self.socket)

    def _leave_if(self, stage: _Stage) -> None:
        if self._stage is stage:
            self._leave()

    def _leave(self) -> None:
        self._stage = _Stage.GONE
        self._loop.unwatch(self.socket)
        try:
            # Not left to close(): a child forked by the application of a worker may have a copy.
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self._forget(self)


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def _listen(path: Path) -> socket.socket:
    """Bound under another name and renamed: never a moment with a socket others could use or find dead."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(f".{path.name}.new")
    before = os.umask(0o177)
    try:
        listener.setblocking(False)
        refuse_descriptors(listener)  # and with it whatever it accepts
        fresh.unlink(missing_ok=True)
        listener.bind(os.fspath(fresh))
        listener.listen(_MOST_ASKERS)
        os.rename(fresh, path)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _is_ours(client: socket.socket) -> bool:
    return peer_of(client).uid in (0, os.geteuid())
