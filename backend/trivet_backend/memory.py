"""The private memory of this process: what the machine would have back if it ended.

Owns how that is asked without costing what it is worth knowing. Knows no limit.
"""

from __future__ import annotations

import os

from trivet_backend.procfs import private_memory

_PAGE = os.sysconf("SC_PAGE_SIZE")
_FIELDS = 7  # of statm, see proc(5)
_STATM = "/proc/self/statm"


class PrivateMemory:
    """Bytes. `guess` reads one short line (2 µs), `measure` walks the page tables (up to milliseconds).

    Most pages of statm that belong to no file are private, but for those still shared with a template by copy
    on write. What the difference was is remembered from the last measurement; the shared only become fewer,
    so that whoever comes near a limit, or has guessed for a while, measures.
    """

    __slots__ = ("_difference", "_fd")

    def __init__(self) -> None:
        self._fd = -1
        self._difference = 0
        self.measure()

    def __repr__(self) -> str:
        return f"<PrivateMemory {self.guess() >> 20} MiB>"

    def measure(self) -> int:
        """Exactly."""
        anonymous = self._anonymous()
        private = private_memory(os.getpid())
        if private is None:  # a kernel without it, or /proc as a container hides it
            return anonymous
        self._difference = private - anonymous
        return private

    def guess(self) -> int:
        return self._anonymous() + self._difference

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _anonymous(self) -> int:
        try:
            fields = os.pread(self._fd, 256, 0).split()
            if len(fields) == _FIELDS:
                return (int(fields[1]) - int(fields[2])) * _PAGE
        except (OSError, ValueError):
            pass  # not opened yet; or closed by the application, and perhaps another file's number by now
        return self._reopen()

    def _reopen(self) -> int:
        try:
            self._fd = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
            fields = os.pread(self._fd, 256, 0).split()
        except OSError:
            return 0
        return (int(fields[1]) - int(fields[2])) * _PAGE
