"""Workers, seats and births that are no processes, for the rooms that decide about them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker, Seat, WorkerState
from trivet_common.config.settings import Workers


class FakeChild:
    """Writes down what it is told, and which signals it is sent."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.told: list[bytes] = []
        self.signals: list[int] = []

    def tell(self, message: bytes) -> None:
        self.told.append(message)

    def kill(self, signum: int = 9) -> None:
        self.signals.append(signum)


class Timers:
    """`call_later` that waits for nobody: `fire` calls what was asked for, in order of the time."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.waiting.append((seconds, callback))

    def fire(self) -> None:
        due, self.waiting = sorted(self.waiting, key=lambda each: each[0]), []
        for _, callback in due:
            callback()


def release(number: int = 1, *, size: int = 2, threads: int = 1, **keys: Any) -> Release:
    """A release of a pool that has only what rooms ask for."""
    reload = SimpleNamespace(
        timeout=keys.pop("timeout", 60.0), ready=keys.pop("ready", None), surge=keys.pop("surge", 1)
    )
    workers = Workers(size, keys.pop("most", size))
    pool: Any = SimpleNamespace(
        name="web",
        app="shop",
        workers=workers,
        threads=threads,
        reload=reload,
        kill_grace=2.0,
        preload=None,
        is_development=False,
    )
    stop_timeout = keys.pop("stop_timeout", 25.0)
    settings: Any = SimpleNamespace(stop_timeout=stop_timeout, patience_with=lambda pool: stop_timeout + 7)
    return Release(number, pool, settings)


def worker(incarnation: int, of: Release | None = None, **keys: Any) -> PoolWorker:
    """One that is ready."""
    child: Any = FakeChild(4000 + incarnation)
    found = PoolWorker(child, incarnation, of or release())
    found.state, found.was_ready = WorkerState.READY, True
    for name, value in keys.items():
        setattr(found, name, value)
    return found


def seats(*workers: PoolWorker | None) -> list[Seat]:
    found = []
    for one in workers:
        found.append(Seat())
        found[-1].worker = one
    return found


def child_of(worker: PoolWorker) -> FakeChild:
    child: Any = worker.child
    return child  # type: ignore[no-any-return]
