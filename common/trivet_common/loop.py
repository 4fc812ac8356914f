"""The loop of a master: descriptors, timers and signals, acted on one after the other in one place.

Owns the selector and the wake-up socket. Knows nothing of what it calls.
"""

import heapq
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

_Callback = Callable[[], None]


class Loop:
    """`turn` waits for the next thing that happens and does what follows from it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, _Callback]] = []
        self._order = count()
        self._signals: set[int] = set()
        self._wakeup: tuple[socket.socket, socket.socket] | None = None
        self._on_signal: Callable[[int], None] | None = None

    def __repr__(self) -> str:
        return f"<Loop watched={len(self._selector.get_map() or ())} timers={len(self._timers)}>"

    def watch(self, source: Any, callback: _Callback, *, to_write: bool = False) -> None:
        """Call back whenever `source` is readable (or writable)."""
        events = selectors.EVENT_WRITE if to_write else selectors.EVENT_READ
        self._selector.register(source, events, callback)

    def unwatch(self, source: Any) -> None:
        """Forget `source`; one that is not watched is no error."""
        try:
            self._selector.unregister(source)
        except (KeyError, ValueError):
            pass

    def call_later(self, seconds: float, callback: _Callback) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), callback))

    def queue_signals(self, signums: Iterable[int], act: Callable[[int], None]) -> None:
        """From now on these signals are acted on in `turn`, once each however often they came."""
        ours, theirs = self._wakeup = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._on_signal = act
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        for signum in signums:
            # The numbers in the wake-up socket are not trusted with it: when its buffer (some 280 bytes) is
            # full they are dropped, and a lost SIGTERM or SIGCHLD would be one for ever.
            signal.signal(signum, self._note_signal)
        self.watch(ours, lambda: self._drain(ours))

    def turn(self) -> None:
        """Wait, then call whatever is due."""
        for key, _ in self._selector.select(self._next_timer()):
            # A callback of this turn may have unwatched and closed the next one's source.
            if self._selector.get_map().get(key.fd) is key:
                key.data()
        self._act_on_signals()
        self._run_timers()

    def close(self) -> None:
        """Stop listening for signals too: they are still ignored, so that none disturbs the clearing up."""
        if self._wakeup is not None:
            signal.set_wakeup_fd(-1)
        self.close_in_child()

    def close_in_child(self) -> None:
        """Close the descriptors without a word to the kernel's epoll, which the master still uses."""
        for end in self._wakeup or ():
            end.close()
        self._wakeup = None
        self._selector.close()

    def _note_signal(self, signum: int, _frame: object) -> None:
        self._signals.add(signum)

    def _drain(self, wakeup: socket.socket) -> None:
        try:
            while wakeup.recv(4096):
                pass
        except BlockingIOError:
            pass

    def _act_on_signals(self) -> None:
        signums, self._signals = self._signals, set()
        for signum in sorted(signums):
            if self._on_signal is not None:
                self._on_signal(signum)

    def _next_timer(self) -> float | None:
        if self._signals:
            return 0.0
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
