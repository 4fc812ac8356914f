"""`python -m benchmarks.contention [SECONDS]`: whether a lock or a queue of ours shows in a profile.

One proxy process and one worker, of a small site and of a wide one (4 proxy processes, 16 workers), loaded:
where py-spy finds them at work, and how many system calls a request wait for somebody (strace, if present).
"""

import linecache
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import peers
from benchmarks.launch import Launch
from benchmarks.processes import title
from benchmarks.stacks import Order, trivet
from benchmarks.wrk import Asked, Load

SITES = {"small": (2, 2, 64), "wide": (4, 16, 256)}  # proxy processes, workers, connections
PARTS = {"proxy": (" process ", 2), "worker": (": worker ", 1)}  # words of its title, sends a request
# Files of ours, and of what we stand on, in which requests queue, or processes or threads share something.
SHARED = {
    "trivet_proxy/dispatch/queue.py": "requests that wait",
    "trivet_proxy/dispatch/slots.py": "claims of slots",
    "trivet_common/pool/idle.py": "the pipe of idle slots",
    "trivet_common/pool/board.py": "the board of slots",
    "trivet_common/pool/queue_board.py": "the board of queues",
    "/threading.py": "Python's locks",
    "trio/_sync.py": "trio's locks",
}
LOCKS = ("futex", "flock", "fcntl", "sched_yield")
WAITS = re.compile(r"\b(poll|wait|select|acquire)\(")  # a sample there is no work
RATE, TOP = 400, 10
# It shows when its part of the work in the wide site is more than this, and so much more than in the small.
SHOWS, GROWN = 0.05, 1.5


@dataclass
class Profile:
    """Samples of one process at work: by file, and by function."""

    files: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    locks: dict[str, float] = field(default_factory=dict)  # calls a request

    def part(self, file: str) -> float:
        found = sum(count for name, count in self.files.items() if name.endswith(file))
        return found / (self.files.total() or 1)


def main(seconds: int) -> int:
    found = peers.find()
    if reason := found.missing(("wrk", "py-spy")):
        raise SystemExit(reason)
    profiles = {}
    for name, (processes, workers, connections) in SITES.items():
        site = f"{processes} proxy processes, {workers} workers, {connections} connections"
        profiles[name] = dict(_profiles(processes, workers, connections, seconds, found))
        for part, profile in profiles[name].items():
            print("\n".join(_lines(f"{name} ({site}), one {part}", profile)), flush=True)
    shown = [said for part in PARTS for said in _shown(part, profiles["small"][part], profiles["wide"][part])]
    print("\n".join(shown) or "\nno lock and no queue of ours shows: goal 8 is reached")
    return 1 if shown else 0


def _profiles(
    processes: int, workers: int, connections: int, seconds: int, found: peers.Peers
) -> Iterator[tuple[str, Profile]]:
    folder = Path(tempfile.mkdtemp(prefix="trivet-contention-"))
    folder.chmod(0o755)
    (folder / "static").mkdir()
    try:
        with Launch(folder, found.folder) as launch:
            port = trivet(launch, Order("bare:application", processes, workers), found)
            load = Load(port, Asked(connections=connections), 4 * seconds + 12, folder)
            time.sleep(2)  # all workers are there, all connections are warm
            for part, (words, sends) in PARTS.items():
                pid = next(pid for pid in launch.pids() if words in title(pid))
                profile = _sampled(pid, seconds, found)
                profile.locks = _counted(pid, seconds, sends, folder)
                yield part, profile
            if errors := load.wait().errors:
                raise SystemExit(f"errors void the profile: {errors}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sampled(pid: int, seconds: int, found: peers.Peers) -> Profile:
    with tempfile.NamedTemporaryFile() as raw:
        command = [found.command("py-spy"), "record", "--full-filenames", "-f", "raw", "-o", raw.name]
        command += ["-p", str(pid), "-d", str(seconds), "-r", str(RATE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
        if done.returncode:
            raise SystemExit(f"py-spy: {done.stderr.strip()}")
        return profile_of(raw.read().decode())


def profile_of(raw: str) -> Profile:
    """Lines of frames with a count behind; the last frame is where the process was."""
    profile = Profile()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frame = re.fullmatch(r"(.*) \((.*):(\d+)\)", stack.split(";")[-1])
        if frame is None or WAITS.search(linecache.getline(frame[2], int(frame[3]))):
            continue
        profile.files[frame[2]] += int(count)
        profile.functions[f"{'/'.join(Path(frame[2]).parts[-2:])} {frame[1]}"] += int(count)
    return profile


def _counted(pid: int, seconds: int, sends: int, folder: Path) -> dict[str, float]:
    """System calls in which one waits for another, a request. Empty without strace."""
    if shutil.which("strace") is None:
        return {}
    notes = folder / "strace.txt"
    tracer = subprocess.Popen(
        ["strace", "-c", "-f", "-qq", "-o", str(notes), "-p", str(pid)], stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)
    return calls_a_request(notes.read_text(), sends)


def calls_a_request(table: str, sends: int) -> dict[str, float]:
    """Of strace's table; a request is so many sends."""
    rows = [line.split() for line in table.splitlines()]
    calls = {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit()}
    requests = calls.get("sendto", 0) / sends
    return {name: calls.get(name, 0) / requests for name in LOCKS} if requests else {}


def _lines(heading: str, profile: Profile) -> Iterator[str]:
    total = profile.functions.total() or 1
    yield f"\n{heading}: {total} samples at work"
    for name, count in profile.functions.most_common(TOP):
        yield f"  {count / total:6.1%}  {name}"
    yield "  of it in what is shared:"
    for file, what in SHARED.items():
        yield f"  {profile.part(file):6.1%}  {what} ({file})"
    said = ", ".join(f"{name} {count:.3f}" for name, count in profile.locks.items())
    yield f"  system calls a request that wait for others: {said or 'not counted'}"


def _shown(part: str, small: Profile, wide: Profile) -> Iterator[str]:
    for file, what in SHARED.items():
        before, after = small.part(file), wide.part(file)
        if after > SHOWS and after > GROWN * before:
            yield f"\n{part}: {what} shows: {after:.1%} of the work if wide, {before:.1%} if small"
    for name, count in wide.locks.items():
        if count > SHOWS and count > GROWN * small.locks.get(name, 0.0):
            yield f"\n{part}: {name} shows: {count:.2f} a request"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
