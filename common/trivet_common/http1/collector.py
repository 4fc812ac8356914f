"""Collects the bytes of one head, up to the empty line, under a byte cap.

Knows nothing of what a head says. What can be refused before the head is complete is judged as it arrives, at
the position it stands, so that the verdict does not depend on how bytes were cut. No byte is looked at twice.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import grammar
from .errors import HttpError
from .reasons import refuse

_END = b"\r\n\r\n"
_CR, _LF = 13, 10


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """`header_bytes`: the whole head, request line included; `headers`: number of fields."""

    header_bytes: int = 32 * 1024
    headers: int = 100


def find_head_end(buffer: bytes | bytearray, start: int) -> int:
    """The index just past the empty line, or -1; `start`: how many bytes were searched before."""
    found = buffer.find(_END, max(start - 3, 0))
    return found + 4 if found >= 0 else -1


def judge_line_ends(head: bytes | bytearray, start: int, stop: int) -> None:
    """Raise for the first CR or LF that stands alone, though RFC 9112, 2.2 allows a LF (CVE-2019-16785)."""
    found = grammar.find_bare_line_end(head, start, stop)
    if found is not None:
        raise refuse("bad_head:bare_lf" if found[0] == b"\n" else "bad_head:bare_cr")


def count_clean_lines(head: bytes) -> int:
    """The number of lines, or -1 when a CR or LF stands alone or another control character is in the head.

    Three passes at the speed of memchr: what is left without field bytes must be pairs, and they must touch.
    """
    left = head.translate(None, grammar.FIELD_VALUE_BYTES)
    lines = len(left) // 2
    return lines if left == b"\r\n" * lines and head.count(b"\r\n") == lines else -1


class HeadCollector:
    """Feed it what arrives until it returns a head; `take_rest` then gives what came after."""

    __slots__ = (
        "_blank_lines",
        "_blank_lines_left",
        "_buffer",
        "_cap",
        "_first_byte",
        "_first_line",
        "_line_end",
        "_refused",
        "_rest",
        "_searched",
    )

    def __init__(
        self,
        cap: int,
        judge_first_byte: Callable[[int], None],
        judge_first_line: Callable[[bytes], object],
        *,
        blank_lines: int = 0,
    ) -> None:
        # For the connection.
        self._cap = cap
        self._first_byte = judge_first_byte
        self._first_line = judge_first_line
        self._blank_lines = blank_lines
        self._refused: tuple[str, str] | None = None  # why and detail: an exception's traceback would hold us
        self._rest = b""
        # For this head.
        self._buffer = bytearray()
        self._blank_lines_left = blank_lines
        self._searched = 0
        self._line_end = 0  # just past the first line, once it has been judged

    def __repr__(self) -> str:
        return f"<HeadCollector {len(self._buffer)} of {self._cap} bytes>"

    @property
    def is_empty(self) -> bool:
        """No byte of a head is here; an empty line before it does not count."""
        return not self._buffer or self._buffer == b"\r"

    def feed(self, data: bytes | memoryview) -> bytes | None:
        """The head with its empty line, or None while it is incomplete. After a refusal: the same again."""
        if self._refused is not None:
            raise refuse(*self._refused)
        if not isinstance(data, bytes):
            data = bytes(data)
        buffer = self._buffer
        if not buffer:  # the ordinary case: one segment holds the whole head, and nothing is copied
            end = data.find(_END) + 4
            if 4 < end <= self._cap and data[0] > 32:
                self._blank_lines_left = self._blank_lines
                if end == len(data):
                    return data
                self._rest = data[end:]
                return data[:end]
        elif buffer[-1] != _CR and len(buffer) + len(data) < self._cap and not grammar.find_cr_or_lf(data):
            buffer += data  # amid a line there is nothing to judge
            return None
        try:
            return self._collect(data)
        except HttpError as refused:
            self.latch(refused)
            raise

    def take_rest(self) -> bytes:
        """What followed the head: its body, or the next request. The collector is ready for the next head."""
        rest, self._rest = self._rest, b""
        return rest

    def latch(self, refused: HttpError) -> None:
        """Nothing after a refused head is looked at (CVE-2024-49768: the request behind it was run)."""
        self._refused = refused.why, refused.detail
        self._start_over()
        self._rest = b""

    def _collect(self, data: bytes) -> bytes | None:
        buffer = self._buffer
        buffer += data
        if not self._line_end and not self._has_begun():
            return None
        end = find_head_end(buffer, self._searched)
        if end < 0 or end > self._cap:
            self._judge_partial()
            return None
        head = bytes(memoryview(buffer)[:end])
        self._rest = bytes(memoryview(buffer)[end:])
        self._start_over()
        return head

    def _has_begun(self) -> bool:
        """Whether a byte of the first line is here; empty lines allowed before it are taken off."""
        buffer = self._buffer
        while self._blank_lines_left and buffer.startswith(b"\r"):
            if len(buffer) == 1:
                return False
            if buffer[1] != _LF:
                raise refuse("bad_head:bare_cr")
            del buffer[:2]
            self._blank_lines_left -= 1
        if not buffer:
            return False
        self._first_byte(buffer[0])
        return True

    def _judge_partial(self) -> None:
        buffer, searched = self._buffer, self._searched
        stop = min(len(buffer), self._cap)
        if not self._line_end:
            ended = grammar.find_line_end(buffer, max(searched - 1, 0), stop)
            if ended is not None:
                line_end = ended.end()
                ended = None  # a match pins the bytearray
                self._first_line(bytes(memoryview(buffer)[:line_end]))
                self._line_end = line_end
        if self._line_end:
            judge_line_ends(buffer, max(searched - 1, self._line_end), stop)
        if len(buffer) >= self._cap:
            raise refuse("bad_head:too_big" if self._line_end else "bad_head:target_long")
        self._searched = len(buffer)

    def _start_over(self) -> None:
        self._buffer = bytearray()  # a new one: an idle connection keeps no buffer
        self._blank_lines_left = self._blank_lines
        self._searched = 0
        self._line_end = 0
