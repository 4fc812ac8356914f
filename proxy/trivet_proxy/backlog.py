"""What a client has not taken yet of its answer: in memory first, then in a temporary file, up to a bound.

So a slow client holds neither a slot nor our memory. Knows no HTTP: bytes go out as they came in, in order.
"""

from collections import deque

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse

from .spool import Spool
from .wire import Wire

# Beyond this the upstream is slowed down, as by nginx's proxy_max_temp_file_size (1 GB there, without a quota
# over all clients).
MOST = 16 * 1024 * 1024
# No flush keeps the other tasks waiting for longer than this takes.
_FLUSH = 1024 * 1024


class Backlog:
    """First in, first out: pieces in memory are older than the file, and the file older than the overflow."""

    __slots__ = ("_file", "_held", "_memory", "_offset", "_overflow", "_pieces", "size")

    def __init__(self, spool: Spool) -> None:
        self._memory = spool.memory
        self._file = spool.new(memory=0)
        self._offset = 0  # what of the file is sent
        self._pieces: deque[bytes | memoryview] = deque()
        self._held = 0  # bytes of the pieces
        self._overflow: deque[bytes | memoryview] = deque()  # what the spool had no room for
        self.size = 0

    def __repr__(self) -> str:
        return f"<Backlog {self.size} bytes, {self._file!r}>"

    @property
    def has_room(self) -> bool:
        """False: the upstream must wait. A file's room comes back when all of it is sent, not before."""
        return not self._overflow and self._file.size < MOST

    def add(self, piece: bytes | memoryview) -> None:
        """Keep it, room or not: whoever adds looks at has_room before the next piece."""
        self.size += len(piece)
        if self._overflow:
            self._overflow.append(piece)
        elif not self._file.size and self._held + len(piece) <= self._memory:
            self._pieces.append(piece)
            self._held += len(piece)
        else:
            try:
                self._file.write(piece)
            except HttpError:  # a full spool slows the answer down; it does not end it
                self._overflow.append(piece)

    def flush(self, wire: Wire) -> int:
        """Send what the kernel takes now; how much that was. Raises WireClosed."""
        before = self.size
        while self.size and before - self.size < _FLUSH:
            sent = self._send_piece(wire) if self._pieces else self._send_from_file(wire)
            if not sent:
                break
        return before - self.size

    def clear(self) -> None:
        """Forget everything and give the file back."""
        self._file.clear()
        self._offset = self._held = self.size = 0
        self._pieces.clear()
        self._overflow.clear()

    def _send_piece(self, wire: Wire) -> int:
        piece = self._pieces[0]
        sent = wire.try_send(piece)
        if sent == len(piece):
            self._pieces.popleft()
        elif sent:
            self._pieces[0] = memoryview(piece)[sent:]
        self._held -= sent
        self.size -= sent
        return sent

    def _send_from_file(self, wire: Wire) -> int:
        fd = self._file.fileno
        if fd is not None and self._offset < self._file.size:
            sent = wire.try_send_file(fd, self._offset, self._file.size - self._offset)
            if sent is None:
                return 0
            if sent == 0:
                raise refuse("spool_full", "A spooled answer could not be read back.")
            self._offset += sent
            self.size -= sent
            if self._offset < self._file.size:
                return sent
        else:
            sent = 1  # nothing of the file is left: on with what came after it
        self._start_over()
        return sent

    def _start_over(self) -> None:
        self._file.clear()
        self._offset = 0
        self._pieces, self._overflow = self._overflow, self._pieces
        self._held = self.size
