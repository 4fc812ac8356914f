"""What processes hold: descriptors by kind, and temporary files; and whether it has become more.

Knows /proc and nothing of HTTP. A test looks once when all is quiet and asks again after what it did.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

Held = Counter[str]
# A proxy keeps up to four connections to a slot, and whether it does at a moment is its own affair; both ends
# of each are Unix sockets.
KEPT_TO_SLOTS = 4


def descriptors(pid: int) -> Held:
    """How many of each kind: "tcp", "unix", "deleted" (unnamed files), "pipe", "file", "anon_inode:..."."""
    unix = _unix_inodes(pid)
    held: Held = Counter()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            held[_kind(os.readlink(f"/proc/{pid}/fd/{entry}"), unix)] += 1
        except FileNotFoundError:
            pass  # closed between the two calls
    return held


class Quiet:
    """What some processes and folders held when nothing happened. `extra` is what they hold beyond that."""

    def __init__(self, pids: Iterable[int], folders: Iterable[Path] = (), kept: int = KEPT_TO_SLOTS) -> None:
        self._held = {pid: descriptors(pid) for pid in pids}
        self._files = {folder: set(os.listdir(folder)) for folder in folders}
        self._kept = kept

    def __repr__(self) -> str:
        return f"<Quiet {self._held} {self._files}>"

    def extra(self, seconds: float = 1.0, most: int = 0) -> dict[str, Held]:
        """Descriptors by process, names by folder; empty when nothing is held beyond the quiet.

        Looks again until nothing is, or `most` in each, for so many seconds: what ends needs a moment.
        """
        until = time.monotonic() + seconds
        while True:
            found = self._extra_now()
            if all(sum(held.values()) <= most for held in found.values()) or time.monotonic() >= until:
                return found
            time.sleep(0.005)

    def forgive(self, extra: dict[str, Held]) -> None:
        """Take what was found as a part of the quiet from now on."""
        for pid, held in self._held.items():
            held.update(extra.get(str(pid), {}))
        for folder, names in self._files.items():
            names.update(extra.get(str(folder), {}))

    def _extra_now(self) -> dict[str, Held]:
        found: dict[str, Held] = {}
        for pid, before in self._held.items():
            now = descriptors(pid)
            now.subtract(before)
            now["unix"] = max(now["unix"] - self._kept, 0)
            if more := +now:
                found[str(pid)] = more
        for folder, names in self._files.items():
            if more := Counter(set(os.listdir(folder)) - names):
                found[str(folder)] = more
        return found


def _unix_inodes(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
    return {fields[6] for line in lines if len(fields := line.split()) > 6}


def _kind(link: str, unix: set[str]) -> str:
    if link.startswith("socket:"):
        return "unix" if link[8:-1] in unix else "tcp"
    if link.startswith("pipe:"):
        return "pipe"
    if link.startswith("anon_inode:"):
        return link
    return "deleted" if link.endswith(" (deleted)") else "file"
