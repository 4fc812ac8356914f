"""What server processes cost: CPU time and memory of whole process trees, read from /proc."""

from pathlib import Path


def tree(roots: list[int]) -> list[int]:
    """The roots and all their descendants now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(pids: list[int], proc: Path = Path("/proc")) -> dict[int, float]:
    """Time on a CPU of each process, all threads, in seconds (schedstat: nanoseconds since its start)."""
    spent = {}
    for pid in pids:
        try:
            tasks = list((proc / str(pid) / "task").iterdir())
        except OSError:
            continue
        spent[pid] = sum(map(_task_seconds, tasks))
    return spent


def spent_between(before: dict[int, float], after: dict[int, float]) -> dict[int, float]:
    """Of each process that is there at the end. One that began in between has spent all it has."""
    return {pid: max(seconds - before.get(pid, 0.0), 0.0) for pid, seconds in after.items()}


def busy_seconds(stat: Path = Path("/proc/stat")) -> float:
    """What all CPUs together have worked since boot, whoever for (in ticks of 10 ms)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, stat.read_text().splitlines()[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / 100


def pss_kib(pid: int) -> int:
    """Proportional set size in KiB: shared pages counted once, divided among their users."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # ended meanwhile
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "(ended)"


def _task_seconds(task: Path) -> float:
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0  # a thread that has just ended: it was one that waited for work
