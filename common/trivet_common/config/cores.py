"""How many processor cores this process may use: the cgroup's quota and the affinity mask, whichever is less.

Reads /proc and /sys once; elsewhere than Linux it falls back to the machine's count.
"""

import math
import os
from pathlib import Path


def available_cores(root: Path = Path("/")) -> int:
    """At least 1. `root` stands for the file system's root in tests."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cores = os.cpu_count() or 1
    quota = _cgroup_quota(root)
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def _cgroup_quota(root: Path) -> float | None:
    """The tightest quota of our cgroup and those above it, in cores (cgroup v2, then v1)."""
    found = [quota for folder in _cgroup_folders(root) if (quota := _quota_v2(folder) or _quota_v1(folder))]
    return min(found) if found else None


def _cgroup_folders(root: Path) -> list[Path]:
    base = root / "sys/fs/cgroup"
    folders = [base, base / "cpu"]
    for line in _text(root / "proc/self/cgroup").splitlines()[:32]:
        _number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        start = _hierarchy(base, controllers)
        # Inside a container the path may be the host's; what is not mounted here is skipped.
        for part in path.strip("/").split("/") if start and ".." not in path else ():
            start = start / part if start and part else start
            folders += [start] if start else []
    return folders


def _hierarchy(base: Path, controllers: str) -> Path | None:
    """Where a line of /proc/self/cgroup has its folder: v2 names no controllers."""
    if not controllers:
        return base
    return base / "cpu" if "cpu" in controllers.split(",") else None


def _quota_v2(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    return _ratio(words[0], words[1]) if len(words) == 2 else None


def _quota_v1(folder: Path) -> float | None:
    return _ratio(_text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip())


def _ratio(quota: str, period: str) -> float | None:
    if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
        return int(quota) / int(period)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
