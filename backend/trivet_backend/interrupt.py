"""The end of a request at its deadline: an exception in the thread that runs it, and nowhere else.

Owns when a request may be struck, that it is struck once, and that nothing of it outlives the request.
Knows no response and no log: a watchdog judges and strikes, from another thread (docs/architecture.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
from collections.abc import Callable
from threading import RLock, get_ident
from time import monotonic_ns
from typing import Any, Protocol

from trivet_backend import offspring
from trivet_common.pool.board import DEADLINE, ROW_WORDS, SlotRow

# A look that is never taken (ns).
FOR_EVER = 1 << 63
# Sent by a worker to its own main thread, and to nobody else.
SIGNAL = signal.SIGRTMIN
# PyDLL: they hold the interpreter's lock, so that nothing runs between a check and the exception.
_raise_in = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)


class RequestTimeout(BaseException):
    """The request is past its deadline. A BaseException, so that `except Exception` does not swallow it."""

    def __str__(self) -> str:
        return "the request is past its deadline"


class _Nothing(BaseException):
    """Raised in place of what was on its way, and caught at once."""


class Watcher(Protocol):
    """Who judges. `looks_at` (ns): when it looks next of its own accord."""

    looks_at: int

    def wake(self, timeout: int) -> None: ...


class _Nobody:
    """For a slot that nobody watches."""

    looks_at = 0

    def wake(self, timeout: int) -> None:
        """Never called: nothing is earlier than 0."""


class Alarm:
    """One slot's. Its thread calls all but `judge` and `strike`, which are the watcher's.

    `armed` is set as the last thing before the application and cleared as the first after it. Whoever clears
    it looks at `is_aimed` next, and the watcher sets `is_aimed` before it looks at `armed`: one of the two
    sees the other (Dekker), so that an ordinary request takes no lock. Of a late request `is_aimed` stays
    set until `end`, and all that could strike it goes through the lock.
    """

    __slots__ = (
        "_is_by_signal", "_is_wanted", "_lock", "_thread", "_timeout", "_watcher", "_words", "armed",
        "is_aimed", "is_late", "name", "row",
    )  # fmt: skip

    def __init__(self, row: SlotRow, name: str, watcher: Watcher, *, is_by_signal: bool = False) -> None:
        # For the slot.
        self.row = row
        self.name = name
        self._words = row.words
        self._watcher = watcher
        self._is_by_signal = is_by_signal
        # Reentrant: a signal handler of the application may run in here, and print.
        self._lock = RLock()
        self._thread = get_ident()
        # For the request.
        self._timeout = 0
        self.armed = False
        self.is_aimed = False
        self.is_late = False
        self._is_wanted = False  # it is late, and the exception was not raised yet

    def __repr__(self) -> str:
        return f"<Alarm {self.name} armed={self.armed} late={self.is_late} deadline={self.deadline}>"

    @property
    def deadline(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds; 0: none, or the clock is stopped."""
        return self._words[DEADLINE]

    @property
    def thread(self) -> int:
        return self._thread

    # ------------------------------------------------------------ what the slot's thread calls

    def belong_here(self) -> None:
        """The calling thread runs the slot."""
        self._thread = get_ident()
        _of_threads[self._thread] = self
        if self._is_by_signal:
            signal.signal(SIGNAL, self._on_signal)

    def begin(self, now: int, timeout: int) -> None:
        """A request begins `now` (ns). `timeout` (ns; 0: none) to its head, and between its pieces."""
        self._timeout = timeout
        if timeout:
            self._set(now + timeout)

    def renew(self) -> None:
        """Its whole time again for what `guard` is given next."""
        if self._timeout and not self.is_late:
            self._set(monotonic_ns() + self._timeout)

    def guard(self, call: Callable[..., Any], *arguments: Any) -> BaseException | None:
        """Run the application's code. What it raises, or what strikes it, is returned and strikes no more."""
        error: BaseException | None = None
        try:
            try:
                self.armed = not self.is_late
                call(*arguments)
            except BaseException as raised:
                error = raised
            self.rest()
        except RequestTimeout as struck:  # in the lines above; and each request is struck once
            error = struck
            self.rest()
        try:
            return error
        finally:
            error = None  # its traceback holds this frame: no cycle for the collector

    def rest(self) -> None:
        """The application's code does not run now; what was on its way strikes in here or not at all."""
        self.armed = False
        if self.is_aimed:
            self._take_back()

    def pause(self) -> int:
        """Stop the clock while we work, or wait, for the application that called us.

        Returns what `resume` wants: the deadline; -1 where there is no clock of this thread's to stop.
        """
        if get_ident() != self._thread:
            return -1  # a thread of the application's own, perhaps after the request's end
        was_armed = self.armed
        self.rest()
        if self.is_late or not was_armed:
            return -1
        deadline = self._words[DEADLINE]
        self._words[DEADLINE] = 0
        return deadline

    def resume(self, deadline: int) -> None:
        """The application goes on, until then (ns)."""
        if deadline >= 0:
            self.armed = True
            if deadline:
                self._set(deadline)

    def again(self) -> None:
        """The application goes on, and has its whole time again."""
        self.resume(monotonic_ns() + self._timeout if self._timeout else 0)

    def end(self) -> bool:
        """The request is over. Whether it was late."""
        if not self.is_aimed:
            return False
        with self._lock:
            was_late, self.is_late, self.is_aimed = self.is_late, False, False
        return was_late

    def forget(self) -> None:
        """In a process that the application forked: nobody watches it, and nothing may strike it."""
        self._lock = RLock()  # the watcher, who is not here, may hold the other one
        self._watcher = _Nobody()
        was_late = self.is_late
        self.armed = self.is_aimed = self.is_late = self._is_wanted = False
        if was_late:
            _drop_what_comes()

    # ------------------------------------------------------------ what the watcher calls

    def judge(self) -> bool:
        """Whether the request that runs is past its deadline: decided once, and not of one that has ended."""
        with self._lock:
            self.is_aimed = True
            if self.armed and 0 < self._words[DEADLINE] <= monotonic_ns():
                self.armed = False
                self.is_late = self._is_wanted = True
            else:
                self.is_aimed = False
            # Nothing is made under the lock: the collector would run, and with it what an application prints.
            return self.is_late

    def strike(self) -> bool:
        """Raise RequestTimeout where the late request runs. Whether it must be tried again.

        A signal may come just before the thread enters the system call it is to be woken from; and nothing is
        raised while the process forks, for the child would inherit it.
        """
        with self._lock:
            if not self._is_wanted:
                return False
            if self._is_by_signal:
                with contextlib.suppress(BlockingIOError):  # as many wait for it as the system keeps
                    signal.pthread_kill(self._thread, SIGNAL)
            elif not offspring.forks:
                self._is_wanted = False
                _raise_in(self._thread, RequestTimeout)
            return self._is_wanted

    # ------------------------------------------------------------ private

    def _set(self, deadline: int) -> None:
        self._words[DEADLINE] = deadline
        if deadline < self._watcher.looks_at:
            self._watcher.wake(self._timeout)

    def _take_back(self) -> None:
        with self._lock:  # until the watcher has judged, or has struck
            is_wanted, self._is_wanted = self._is_wanted, False
        # An exception that was set in this thread is raised by the calls of these lines; what would still be
        # there is taken back.
        if is_wanted:
            raise RequestTimeout
        if self.is_late and not self._is_by_signal:
            _drop_what_comes()

    def _on_signal(self, _signum: int, _frame: object) -> None:
        if self._is_wanted and not offspring.forks:
            self._is_wanted = False
            raise RequestTimeout


def _drop_what_comes() -> None:
    """Take an exception back that was set in this thread and not raised yet.

    Not by setting NULL: that leaves the flag of CPython 3.11 and 3.12 up for ever, so that each call
    and loop of the process looks for an exception, and one that is profiled never goes on.
    """
    try:
        _raise_in(get_ident(), _Nothing)
        for _ in range(1000):
            pass
    except _Nothing:
        pass


# Of this process: the alarm of each thread that runs a slot.
_of_threads: dict[int, Alarm] = {}


def of_this_thread() -> Alarm | None:
    """For rooms that an application calls without knowing it, and that no exception may leave half done."""
    return _of_threads.get(get_ident())


def unwatched() -> Alarm:
    """The alarm of a request that has all the time there is."""
    row = bytearray(ROW_WORDS * 8)
    return Alarm(SlotRow(memoryview(row).cast("Q"), memoryview(row)), "", _Nobody())
