"""Starts the swarm and the honest clients as programs, and looks into the server's processes meanwhile.

Knows no test: figures are returned, and judged by who asked.
"""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.whole.running import Site

ROOT = Path(__file__).parents[2]


@contextmanager
def swarm(port: int, rate: float = 1000.0, patience: float = 120.0, **kinds: int) -> Iterator[dict[str, Any]]:
    """So many clients of each kind, all connected before the block begins; what became of them after it."""
    found: dict[str, Any] = {}
    asked = json.dumps({"port": port, "rate": rate, "kinds": kinds})
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.endurance.swarm", asked],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    prefer([process.pid])
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "all\n"
        yield found
        out, _ = process.communicate("", timeout=patience)
        found.update(json.loads(out))
    finally:
        process.kill()
        process.communicate(timeout=10)


def honest(port: int, seconds: float, clients: int = 20, rate: float = 200.0) -> dict[str, Any]:
    """What `clients` honest ones saw in so many seconds: milliseconds, and how many failed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.endurance.honest", *map(str, (port, clients, rate, seconds))],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    prefer([process.pid])
    try:
        out, _ = process.communicate(timeout=seconds + 60)
    finally:
        process.kill()
    answer: dict[str, Any] = json.loads(out)
    return answer


def fronts(site: Site) -> list[int]:
    """The pids of the proxy processes."""
    return site.pids(" process ")


def cpu_seconds(pids: list[int]) -> float:
    """What they have used so far, by the scheduler's own clock: ticks see nothing of what wakes with them."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def memory(pids: list[int]) -> int:
    """Bytes in memory that are theirs alone; what they share since the fork does not grow."""
    return sum(_private(pid) for pid in pids)


def descriptors(pids: list[int]) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)


def affordable(wanted: int, descriptors_each: float, keep: int = 1000) -> int:
    """As many as the descriptor limit of one process allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(wanted, int((soft - keep) / descriptors_each))


def prefer(pids: list[int]) -> None:
    """Before whatever else this machine does. A session is a group to the scheduler (autogroup)."""
    if os.geteuid() != 0:
        return
    for pid in pids:
        try:
            Path(f"/proc/{pid}/autogroup").write_text("-15")
        except OSError:
            return  # a kernel without it


def busy_slots(site: Site) -> int:
    """Slots that are not idle, by `trivet status`."""
    workers = [worker for pool in site.status()["pools"].values() for worker in pool["workers"]]
    return sum(slot["state"] != "idle" for worker in workers for slot in worker["slots"])


def waiting(site: Site) -> int:
    """Requests that wait for a slot, in all proxy processes."""
    return sum(process["waiting"] for process in site.status()["proxy"]["processes"])


def _private(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024
