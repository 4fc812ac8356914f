"""What the kernel tells of a process in /proc.

Knows no worker; a process that is gone has nothing to tell.
"""

from __future__ import annotations

from pathlib import Path


def state_of(pid: int) -> str:
    """One letter: R runs, S sleeps, T is stopped, Z is dead and not reaped (proc(5)); "" if it is gone."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def parent_of(pid: int) -> int:
    """0 if it is gone."""
    fields = _stat(pid)
    return int(fields[1]) if len(fields) > 1 else 0


def private_memory(pid: int) -> int | None:
    """Bytes that no other process shares; None where we may not look. Costs a walk of all its pages."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    kib = [int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")]
    return sum(kib) * 1024


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold blanks and parentheses of its own."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(") ")[2].split()
    except OSError:
        return []
