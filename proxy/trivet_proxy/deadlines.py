"""Every deadline of the process, watched by one task.

A deadline is one object that moves: postponing it stores a number, since its entry in the heap has to come up
no later than it is due, and is then put back where it belongs. Knows nothing of the target that expires.
"""

import heapq
from math import inf
from typing import Protocol

import trio

# A sweep wakes the process at most every 20 ms, so a deadline is met that late at worst.
_COARSENESS = 0.02
_FEW = 256


class Expirable(Protocol):
    def expire(self, why: str, /) -> None:
        """Its time is over: end it now, without waiting and without raising."""


class Deadline:
    """Some seconds from now `target.expire(why)` is called, unless this is stopped or moved before."""

    __slots__ = ("_deadlines", "_standing", "_target", "due", "is_over", "why")

    def __init__(self, deadlines: "Deadlines", target: Expirable) -> None:
        self._deadlines = deadlines
        self._target: Expirable | None = target
        self._standing = inf  # when its valid entry in the heap comes up; inf: it has none
        self.due = inf
        self.is_over = False  # since it was last moved
        self.why = ""

    def __repr__(self) -> str:
        return f"<Deadline {self.why or 'stopped'} due {self.due:.3f}>"

    def move(self, seconds: float | None, why: str) -> None:
        """Start it, or start it again; None: no limit."""
        self.why = why
        self.is_over = False
        if seconds is None:
            self.due = inf
            return
        self.due = due = self._deadlines.now() + seconds
        if due < self._standing:
            self._deadlines._enter(self, due)

    def stop(self) -> None:
        self.due = inf

    def end(self) -> None:
        """For good. It knows its target and most targets know it: the two would be left to the collector."""
        self.due = inf
        self._target = None

    def now(self) -> float:
        """The time by the clock it runs on, in seconds."""
        return self._deadlines.now()


class Deadlines:
    """`run()` is the one task; everything else only takes note."""

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time
        self._heap: list[tuple[float, int, Deadline]] = []
        self._entries = 0  # ever made: orders entries of the same moment
        self._crowd = _FEW  # at this many entries those that are void are thrown out
        self._nap: trio.CancelScope | None = None
        self._nap_end = -inf  # -inf while it is awake: the sweep sees to what is entered then

    def __repr__(self) -> str:
        return f"<Deadlines {len(self._heap)} entries>"

    def start(self, seconds: float | None, target: Expirable, why: str) -> Deadline:
        """A new deadline. Keep the object and `move` it where the same thing is timed again and again."""
        deadline = Deadline(self, target)
        deadline.move(seconds, why)
        return deadline

    async def run(self) -> None:
        while True:
            self._nap_end = max(self._sweep(), self.now() + _COARSENESS)
            with trio.CancelScope(deadline=self._nap_end) as self._nap:
                await trio.sleep_forever()
            self._nap_end = -inf

    def _sweep(self) -> float:
        """Expire what is due, put back what was moved; when to look again."""
        heap, now = self._heap, self.now()
        while heap and heap[0][0] <= now:
            entered, _, deadline = heapq.heappop(heap)
            if entered != deadline._standing:
                continue  # it has an earlier entry by now
            deadline._standing = inf
            if deadline.due <= now:
                deadline.due = inf
                deadline.is_over = True
                if deadline._target is not None:
                    deadline._target.expire(deadline.why)
            elif deadline.due < inf:
                self._enter(deadline, deadline.due)
        return heap[0][0] if heap else inf

    def _enter(self, deadline: Deadline, due: float) -> None:
        self._entries += 1
        deadline._standing = due
        heapq.heappush(self._heap, (due, self._entries, deadline))
        if len(self._heap) >= self._crowd:
            self._throw_out()
        if due < self._nap_end and self._nap is not None:
            self._nap_end = self._nap.deadline = due

    def _throw_out(self) -> None:
        """Void entries would stand until their time comes. Thrown out at twice the live ones: O(1) each."""
        live = []
        for entry in self._heap:
            due, _, deadline = entry
            if due != deadline._standing:
                continue
            if deadline.due < inf:
                live.append(entry)
            else:
                deadline._standing = inf
        heapq.heapify(live)
        self._heap[:] = live
        self._crowd = max(_FEW, 2 * len(live))
