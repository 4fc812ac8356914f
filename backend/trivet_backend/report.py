"""What a pool's master tells an operator: the answer to `status`, from what it knows and what boards show.

Decides nothing, and believes a board for its own worker only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from trivet_backend import procfs
from trivet_backend.boards import BUSY, views
from trivet_backend.crew import Crew
from trivet_backend.roster import PoolWorker
from trivet_common.pool.board import SlotView
from trivet_common.pool.places import PoolPlaces
from trivet_common.pool.queue_board import QueueView


def crew_status(crew: Crew, places: PoolPlaces) -> dict[str, Any]:
    pool = crew.release.pool
    workers = sorted(crew.roster, key=lambda worker: worker.incarnation)
    seats = crew.roster.seats
    return {
        "pool": pool.name,
        "app": pool.app,
        "release": crew.release.number,
        "wanted": len(seats),
        "size": {"min": pool.workers.min, "max": pool.workers.max, "now": len(seats)},
        "threads": pool.threads,
        "ready": crew.roster.ready(),
        "restarts": crew.restarts,
        "crashes": crew.crashes,
        "timeouts": crew.timeouts,
        "recycled": dict(crew.recycled),
        "workers": [worker_status(worker, places) for worker in workers],
    }


def worker_status(worker: PoolWorker, places: PoolPlaces) -> dict[str, Any]:
    now = time.monotonic_ns()
    return {
        "incarnation": worker.incarnation,
        "pid": worker.child.pid,
        "state": worker.state.value,
        "tired": worker.tired,
        "release": worker.release.number,
        "template": worker.release.has_template,
        "age": round(time.monotonic() - worker.started, 3),
        "memory": procfs.private_memory(worker.child.pid) if worker.child.pid > 0 else None,
        "slots": [slot_status(row, now) for row in views(worker, places)],
    }


def slot_status(row: SlotView, now: int) -> dict[str, Any]:
    is_busy = row.state in BUSY
    left = round((row.deadline - now) / 1e9, 3) if is_busy and row.deadline else None
    return {
        "state": row.state.name.lower(),
        "done": row.done,
        "timeouts": row.timeouts,
        "method": row.method if is_busy else "",
        "path": row.path if is_busy else "",
        "request_id": row.request_id if is_busy else "",
        "seconds": round(max(now - row.since, 0) / 1e9, 3) if is_busy and row.since else 0.0,
        "deadline_in": left,
        "overdue": left is not None and left < 0,
    }


def queue_status(views: Iterable[QueueView]) -> dict[str, Any]:
    """The queues of all proxy processes as one."""
    found = list(views)
    now = time.monotonic_ns()
    since = [view.oldest_since for view in found if view.waiting and view.oldest_since]
    counts = [view.counts for view in found]
    return {
        "waiting": sum(view.waiting for view in found),
        "oldest_wait": round(max(now - min(since), 0) / 1e9, 3) if since else 0.0,
        **{name: sum(getattr(count, name) for count in counts) for name in _COUNTED},
    }


_COUNTED = ("claims", "late", "retries", "returns", "timeouts", "deaths", "full", "expired")
