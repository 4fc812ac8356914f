"""A control group for one stack: its CPU time counts processes and threads that have already ended, too.

Version 2 (cpu.stat), else version 1 (cpuacct), where a folder can be made; nowhere else is one needed.
"""

import os
from pathlib import Path
from types import TracebackType

KINDS = (("cgroup2", "", "cpu.stat"), ("cgroup", "cpuacct", "cpuacct.usage"))


class Cgroup:
    """`folder` is None where the machine lets us make none; then `cpu_seconds` is None, too."""

    __slots__ = ("_counter", "folder")

    def __init__(self) -> None:
        self.folder, self._counter = _make()

    def __repr__(self) -> str:
        return f"<Cgroup {self.folder}>"

    def __enter__(self) -> "Cgroup":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.folder is not None:
            try:
                self.folder.rmdir()
            except OSError:
                pass  # somebody is still in it: it is empty of our processes at the latest when they end

    def entering(self, command: list[str]) -> list[str]:
        """The command, begun inside the group."""
        if self.folder is None:
            return command
        return ["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', str(self.folder), *command]

    def pids(self) -> list[int]:
        """All in it, also those that nobody's tree has any more."""
        if self.folder is None:
            return []
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def cpu_seconds(self) -> float | None:
        if self.folder is None:
            return None
        return seconds_of((self.folder / self._counter).read_text())


def seconds_of(text: str) -> float:
    """Of either version's file: microseconds beside a name, or nanoseconds alone."""
    for line in text.splitlines():
        if line.startswith("usage_usec "):
            return int(line.split()[1]) / 1e6
    return int(text) / 1e9


def _make() -> tuple[Path | None, str]:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    ours = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for kind, controller, counter in KINDS:
        for _, where, found, options, *_ in mounts:
            if found != kind or (controller and controller not in options.split(",")):
                continue
            path = next((path for _, names, path in ours if controller in names.split(",")), "/")
            folder = Path(where) / path.lstrip("/") / f"trivet-benchmarks-{os.getpid()}"
            try:
                folder.mkdir(exist_ok=True)
                (folder / counter).read_text()
                if os.access(folder / "cgroup.procs", os.W_OK):
                    return folder, counter
            except OSError:
                continue
    return None, ""
