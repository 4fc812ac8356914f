"""What a route's pool or servers are at this moment, as the masters of a running site say.

Knows the shape of their answers; what an earlier version does not say is left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trivet_common.config import Route

from . import status
from .words import age, count

_BUSY = ("reading", "running")


def live(route: Route | None, asked: str, run_dir: Path) -> Iterator[str]:
    """Raises Refusal where nothing answers."""
    told = status.collect(asked, run_dir)
    proxy = told["proxy"] or {}
    processes = proxy.get("processes") or []
    ready = sum(bool(one.get("ready")) for one in processes)
    yield f"proxy: {ready} of {count(len(processes), 'process', 'processes')} ready"
    if route is not None and route.pool is not None:
        yield from _pool(route.pool, told["pools"].get(route.pool))
    if route is not None and route.upstream is not None:
        yield from _servers((proxy.get("upstreams") or {}).get(route.upstream.name))
    yield from (f"no answer: {problem}" for problem in told["problems"])


def _pool(name: str, pool: dict[str, Any] | None) -> Iterator[str]:
    if pool is None:
        yield f"pool {name}: its master does not answer"
        return
    slots = [slot for worker in pool.get("workers", []) for slot in worker.get("slots", [])]
    idle = sum(slot.get("state") == "idle" for slot in slots)
    busy = sum(slot.get("state") in _BUSY for slot in slots)
    yield f"pool {name}: {idle} of {count(len(slots), 'slot')} idle, {busy} busy"
    queue = pool.get("queue") or {}
    oldest = f", the oldest for {age(queue.get('oldest_wait') or 0.0)}" if queue.get("waiting") else ""
    yield f"queue: {queue.get('waiting') or 0} waiting{oldest}"


def _servers(servers: dict[str, dict[str, str]] | None) -> Iterator[str]:
    """Of each server: in which processes it is left out. Each process finds that out for itself."""
    if servers is None:
        yield "servers: no process has said anything of them yet"
        return
    if not servers:
        yield "servers: no address of them is known"
    for name, standings in servers.items():
        out = sorted(index for index, standing in standings.items() if standing != "in")
        what = "up" if not out else "left out" if len(out) == len(standings) else "left out by some processes"
        yield f"server {name}: {what}" + (f" ({', '.join(out)})" if out and len(out) < len(standings) else "")
