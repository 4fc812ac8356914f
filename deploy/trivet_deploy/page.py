"""What `trivet status` shows of what masters said: lines about the whole, and a row a slot.

Knows the shape of their answers; what is missing in one is left out: halves of two versions can be asked.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from trivet_common.logs import without_trace

from . import certificates
from .words import age, count, memory, printable

Answer = dict[str, Any]
Row = tuple[str, ...]
_COLUMNS = (
    "pool", "worker", "pid", "release", "age", "memory", "slot", "state", "for", "left", "done", "request",
)  # fmt: skip
STATE, FOR = _COLUMNS.index("state"), _COLUMNS.index("for")
_BUSY = ("reading", "running")
_PATH_SHOWN = 60
_MOST_OVERDUE = 5


class Line(NamedTuple):
    """`is_bad`: somebody should look into this."""

    text: str
    is_bad: bool = False


def lines(told: Answer) -> list[Line]:
    """All that stands above the table."""
    found = [*_serve_lines(told), *_proxy_lines(told["proxy"])]
    for name, pool in told["pools"].items():
        found += _pool_lines(name, pool)
    return found + [Line(f"no answer: {problem}", True) for problem in told["problems"]]


def table(told: Answer) -> list[Row]:
    """The headings and a row a slot; without the columns in which nothing stands. Empty without workers."""
    rows = [row for name, pool in told["pools"].items() for row in _slot_rows(name, pool)]
    if not rows:
        return []
    kept = [at for at, _ in enumerate(_COLUMNS) if any(row[at] for row in rows)]
    return [tuple(row[at] for at in kept) for row in [_COLUMNS, *rows]]


def is_busy(headings: Row, row: Row) -> bool:
    """Whether a row's slot runs a request."""
    return row[headings.index("state")].split(",")[0] in (*_BUSY, "overdue")


def _serve_lines(told: Answer) -> Iterator[Line]:
    serve = told["serve"]
    if not serve:
        return
    state = "ready" if serve.get("ready") else "not ready"
    state += ", reloading" if serve.get("reloading") else ""
    state = "stopping" if serve.get("phase", "running") != "running" else state
    yield Line(
        f"{serve.get('name')} ({serve.get('file') or told['asked']}): {state}, "
        f"up {age(serve.get('uptime', 0))}, process {serve.get('pid')}",
        state.startswith("not ready"),
    )
    yield Line(f"listening: {', '.join(serve.get('listen') or ['nowhere'])}")


def _proxy_lines(proxy: Answer | None) -> Iterator[Line]:
    if not proxy:
        return
    processes = proxy.get("processes") or []
    connections, requests = (
        sum(each.get(key) or 0 for each in processes) for key in ("connections", "requests")
    )
    pids = ", ".join(str(each.get("pid")) for each in processes)
    line = f"proxy: {count(len(processes), 'process', 'processes')} ({pids})"
    line += f", {count(connections, 'connection')}, {count(requests, 'request')}"
    yield Line(f"{line}, {_waiting(processes)}")
    yield from (Line(*each) for each in certificates.shown(proxy.get("certificates") or []))
    yield from _server_lines(proxy.get("upstreams") or {})


def _server_lines(upstreams: Answer) -> Iterator[Line]:
    """Of those that some processes do not ask for now; each finds out for itself."""
    for name, servers in upstreams.items():
        if not servers:
            yield Line(f"upstream {printable(name)}: no address of its servers is known", True)
        for server, standings in servers.items():
            out = sum(standing != "in" for standing in standings.values())
            if out:
                by = f"{out} of {count(len(standings), 'process', 'processes')}"
                text = f"upstream {printable(name)}: {printable(server)} is left out by {by}"
                yield Line(text, out == len(standings))


def _waiting(queues: list[Answer]) -> str:
    waiting = sum(each.get("waiting") or 0 for each in queues)
    oldest = max((each.get("oldest_wait") or 0.0 for each in queues), default=0.0)
    return f"{waiting} waiting" + (f" (the oldest for {age(oldest)})" if waiting else "")


def _pool_lines(name: str, pool: Answer) -> Iterator[Line]:
    slots = [slot for worker in pool.get("workers", []) for slot in worker.get("slots", [])]
    releases = sorted({worker["release"] for worker in pool.get("workers", []) if "release" in worker})
    line = f"pool {name}: {pool.get('app')}, "
    if releases:
        line += f"release{'s' * (len(releases) > 1)} {' and '.join(map(str, releases))}, "
    line += f"{pool.get('ready')} of {pool.get('wanted')} workers ready{_bounds(pool)}, "
    line += f"{sum(slot.get('state') in _BUSY for slot in slots)} of {len(slots)} slots busy"
    yield Line(line)
    yield Line("  " + ", ".join(_events(pool, sum(slot.get("done", 0) for slot in slots))))
    if template := pool.get("template"):
        yield Line(f"  template: process {template.get('pid')}, {template.get('state')}")
    yield from (Line(f"  {text}", True) for text in _troubles(pool))
    yield from _reload_lines(pool)


def _bounds(pool: Answer) -> str:
    size = pool.get("size") or {}
    if size.get("min") == size.get("max"):
        return ""
    return f" ({size.get('min')} to {size.get('max')})"


def _events(pool: Answer, done: int) -> Iterator[str]:
    """What waits, and what has happened as far as anything has. `done` grows less when a worker leaves."""
    queue, recycled = pool.get("queue") or {}, pool.get("recycled") or {}
    told = [
        _waiting([queue]) if queue else "",
        f"{count(done, 'request')} done by these workers",
        _times(pool.get("timeouts"), "timeout"),
        _times(pool.get("crashes"), "crash"),
        _times(queue.get("retries"), "retried request"),
        _times(queue.get("full"), "request refused by a full queue", "requests refused by a full queue"),
        _times(queue.get("expired"), "request that waited too long", "requests that waited too long"),
        *(
            f"{count(number, 'worker')} recycled for {'its' if number == 1 else 'their'} {why}"
            for why, number in recycled.items()
            if number and why != "timeout"
        ),
        _times(recycled.get("timeout"), "worker replaced after a timeout", "workers replaced after timeouts"),
    ]
    return filter(None, told)


def _times(number: int | None, what: str, several: str = "") -> str:
    return count(number, what, several or f"{what}{'es' if what.endswith('sh') else 's'}") if number else ""


def _troubles(pool: Answer) -> Iterator[str]:
    if pool.get("degraded"):
        yield f"degraded: {pool.get('ready')} of {pool.get('wanted')} workers are ready"
    overdue = [
        f"{_worker_name(worker)}.{number} ({_request(slot)}, for {age(slot.get('seconds') or 0)})"
        for worker in pool.get("workers", [])
        for number, slot in enumerate(worker.get("slots", []))
        if slot.get("overdue")
    ]
    if overdue:
        more = f" and {len(overdue) - _MOST_OVERDUE} more" if len(overdue) > _MOST_OVERDUE else ""
        held = "is held" if len(overdue) == 1 else "are held"
        yield (
            f"{count(len(overdue), 'slot')} {held} by requests already answered 504: "
            f"{', '.join(overdue[:_MOST_OVERDUE])}{more}"
        )


def _reload_lines(pool: Answer) -> Iterator[Line]:
    if pool.get("reloading"):
        progress = pool.get("reload_progress")
        yield Line(f"  reloading{f': {progress}' if progress else ''}")
    last = pool.get("last_reload") or {}
    problem = last.get("problem")
    when = ""
    if "at" in last:
        when = f" ({time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(last['at']))})"
    if problem:
        yield Line(f"  the last reload{when} failed, the release before it goes on:", True)
        yield from (Line(f"    {printable(line)}", True) for line in without_trace(problem).splitlines())
    elif last.get("ok"):
        yield Line(f"  last reload{when}: good, in {age(last.get('seconds') or 0)}")


def _slot_rows(name: str, pool: Answer) -> Iterator[Row]:
    workers = pool.get("workers", [])
    releases = {worker.get("release") for worker in workers}
    for worker in workers:
        head = (
            name,
            _worker_name(worker),
            str(worker.get("pid")),
            str(worker.get("release")) if len(releases) > 1 else "",
            age(worker.get("age", 0)),
            memory(worker["memory"]) if worker.get("memory") else "",
        )
        slots = worker.get("slots") or [{"state": worker.get("state")}]
        for number, slot in enumerate(slots):
            yield (*head, *_slot(number, slot, worker.get("state")))


def _slot(number: int, slot: Answer, worker_state: str | None) -> Row:
    state = "overdue" if slot.get("overdue") else str(slot.get("state"))
    if worker_state == "retiring" and state != "retiring":
        state += ", retiring"
    left = slot.get("deadline_in")
    return (
        str(number),
        state,
        age(slot["seconds"]) if slot.get("seconds") else "",
        age(left) if left is not None and left > 0 else "",
        str(slot.get("done", "")),
        _request(slot),
    )


def _worker_name(worker: Answer) -> str:
    return f"w{worker.get('incarnation')}"


def _request(slot: Answer) -> str:
    path = str(slot.get("path") or "")
    if len(path) > _PATH_SHOWN:
        path = path[: _PATH_SHOWN - 1] + "…"
    # A path is the client's: nothing in it may drive the operator's terminal.
    return printable(f"{slot.get('method') or ''} {path}".strip(), ascii_only=True)
