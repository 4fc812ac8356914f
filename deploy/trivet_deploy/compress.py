"""`trivet compress DIR`: writes NAME.gz, NAME.br and NAME.zst beside files that shrink, for `precompressed`.

What is up to date is left alone, so that it can run in every build. Knows nothing of routes and of HTTP but
what is text.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.progress import track

from trivet_proxy.content_types import content_type_of
from trivet_proxy.listing import size_text

from . import screen
from .refusal import GOOD, Refusal
from .words import count

Compress = Callable[[bytes], bytes]

_ENDINGS = (".gz", ".br", ".zst")
# What is not text and shrinks all the same.
_ALSO = frozenset(
    b"application/json application/ld+json application/geo+json application/manifest+json application/wasm "
    b"application/toml application/vnd.ms-fontobject font/ttf font/otf image/bmp image/x-icon "
    b"model/gltf+json application/vnd.apple.mpegurl application/dash+xml application/rtf".split()
)
# Less than a packet saves nobody anything, and a gain of a few bytes is not worth a file.
_SMALLEST, _LARGEST = 200, 256 * 1024 * 1024
_WORTH = 0.95


@dataclass
class Tally:
    """What became of the files of one coding."""

    files: int = 0
    before: int = 0
    after: int = 0
    current: int = 0
    no_gain: int = 0


@dataclass
class _Job:
    path: Path
    info: os.stat_result
    missing: list[str] = field(default_factory=list)  # endings


def compress(folder: str) -> int:
    """Raises Refusal."""
    root = Path(folder)
    if not root.is_dir():
        raise Refusal(f"there is no folder {folder}; write the one that files: names, for instance static")
    codings = available()
    tallies = {ending: Tally() for ending in codings}
    jobs = list(_jobs(root, tallies))
    problems: list[str] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:  # compressing releases the interpreter's lock
        console = Console(stderr=True)
        work = threads.map(lambda job: _run(job, codings), jobs)
        shown = track(
            work, "compressing", len(jobs), console=console, transient=True, disable=not sys.stderr.isatty()
        )
        for job, written in zip(jobs, shown, strict=True):
            for ending, size in written.items():
                _count(tallies[ending], job, size, problems)
    for line in _summary(tallies):
        print(line)
    for problem in problems:
        screen.tell(problem)
    if problems:
        raise Refusal(f"{count(len(problems), 'file')} could not be written")
    return GOOD


def available() -> dict[str, Compress]:
    """Coding by ending; gzip always, the others where their library is installed."""
    found: dict[str, Compress] = {".gz": _gzip}
    try:
        brotli = import_module("brotli")
        found[".br"] = lambda data: bytes(brotli.compress(data, quality=11))
    except ImportError:
        pass
    try:
        zstandard = import_module("zstandard")
        found[".zst"] = lambda data: bytes(zstandard.ZstdCompressor(level=19).compress(data))
    except ImportError:
        pass
    return found


def _gzip(data: bytes) -> bytes:
    """Without a name and a time: the same file has the same bytes in every build."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
    return packer.compress(data) + packer.flush()


def _jobs(root: Path, tallies: dict[str, Tally]) -> Iterator[_Job]:
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = Path(folder, name)
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode) or name.endswith(_ENDINGS) or not _is_text(name):
                continue
            if not _SMALLEST <= info.st_size <= _LARGEST:
                continue
            job = _Job(path, info)
            for ending, tally in tallies.items():
                if _is_current(path, ending, info):
                    tally.current += 1
                else:
                    job.missing.append(ending)
            if job.missing:
                yield job


def _is_text(name: str) -> bool:
    bare = content_type_of(os.fsencode(name)).partition(b";")[0]
    return bare.startswith(b"text/") or bare.endswith(b"xml") or bare in _ALSO


def _is_current(path: Path, ending: str, info: os.stat_result) -> bool:
    """A sibling has its file's own time: one of another time is of another content."""
    try:
        sibling = Path(f"{path}{ending}").lstat()
    except OSError:
        return False
    return stat.S_ISREG(sibling.st_mode) and sibling.st_mtime_ns == info.st_mtime_ns


def _run(job: _Job, codings: dict[str, Compress]) -> dict[str, int | OSError]:
    """Sizes by ending; 0 where it does not shrink."""
    done: dict[str, int | OSError] = {}
    for ending in job.missing:
        try:
            data = job.path.read_bytes()
            packed = codings[ending](data)
            is_worth_it = len(packed) <= len(data) * _WORTH
            _replace(job, ending, packed if is_worth_it else None)
            done[ending] = len(packed) if is_worth_it else 0
        except OSError as problem:
            done[ending] = problem
    return done


def _replace(job: _Job, ending: str, packed: bytes | None) -> None:
    """Complete before it has its name; one that is of no use any more is taken away."""
    target = Path(f"{job.path}{ending}")
    if packed is None:
        target.unlink(missing_ok=True)
        return
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with new.open("xb") as file:
            file.write(packed)
            os.fchmod(file.fileno(), stat.S_IMODE(job.info.st_mode))
        os.utime(new, ns=(job.info.st_mtime_ns,) * 2)
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _count(tally: Tally, job: _Job, size: int | OSError, problems: list[str]) -> None:
    if isinstance(size, OSError):
        problems.append(f"{job.path}: {size.strerror}")
    elif size:
        tally.files += 1
        tally.before += job.info.st_size
        tally.after += size
    else:
        tally.no_gain += 1


def _summary(tallies: dict[str, Tally]) -> Iterator[str]:
    for ending in _ENDINGS:
        tally = tallies.get(ending)
        if tally is None:
            yield f"{ending:5} its library is not installed: pip install 'trivet[compress]'"
            continue
        told = [f"{count(tally.files, 'file')} written"]
        if tally.files:
            share = 100 * tally.after / tally.before
            told[0] += f", {size_text(tally.before)} to {size_text(tally.after)} ({share:.0f} %)"
        if tally.current:
            told.append(f"{tally.current} up to date")
        if tally.no_gain:
            told.append(f"{tally.no_gain} would not shrink")
        yield f"{ending:5} {', '.join(told)}"
