"""`trivet compress DIR`: writes NAME.gz, NAME.br and NAME.zst beside files that shrink, for `precompressed`.

What is up to date is left alone, so that it can run in every build. Knows nothing of routes and of HTTP but
what is text.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module

from rich.console import Console
from rich.progress import track

from trivet_common.config.problems import shown_path
from trivet_proxy.beneath import ROOT, Links, open_beneath
from trivet_proxy.content_types import content_type_of, is_text
from trivet_proxy.file_tree import DEEPEST, FileTree
from trivet_proxy.listing import size_text

from . import screen
from .refusal import GOOD, Refusal
from .words import count

Compress = Callable[[bytes], bytes]

_ENDINGS = (".gz", ".br", ".zst")
_OURS = tuple(ending.encode() for ending in _ENDINGS)
# Less than a packet saves nobody anything, and a gain of a few bytes is not worth a file.
_SMALLEST, _LARGEST = 200, 256 * 1024 * 1024
_WORTH = 0.95
_MOST_NAMES = 1_000_000


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
    name: bytes
    info: os.stat_result
    missing: list[str] = field(default_factory=list)  # endings


# What became of one coding of a file: its size, 0 where it does not shrink, or what is wrong.
_Outcome = int | str


def compress(folder: str) -> int:
    """Raises Refusal."""
    try:
        root = os.open(folder, ROOT)
    except OSError:
        hint = "write the one that files: names, for instance static"
        raise Refusal(f"there is no folder {shown_path(folder)}; {hint}") from None
    try:
        return _compress(root)
    finally:
        os.close(root)


def _compress(root: int) -> int:
    codings = available()
    tallies = {ending: Tally() for ending in codings}
    tree = FileTree(os.fsencode(f"/proc/self/fd/{root}/"), lambda name: False, _MOST_NAMES)
    try:
        jobs = list(_jobs(root, tree, tallies))
    except OSError as error:
        raise Refusal(f"the folder cannot be read: {error.strerror}") from None
    problems: list[str] = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:  # compressing releases the interpreter's lock
        console = Console(stderr=True)
        work = threads.map(lambda job: _run(root, job, codings), jobs)
        shown = track(
            work, "compressing", len(jobs), console=console, transient=True, disable=not sys.stderr.isatty()
        )
        for job, written in zip(jobs, shown, strict=True):
            for ending, outcome in written.items():
                _count(tallies[ending], job, outcome, problems)
    for line in _summary(tallies):
        print(line)
    for problem in problems:
        screen.tell(problem)
    if tree.is_cut:
        bounds = f"{_MOST_NAMES} names or {DEEPEST} folders deep"
        raise Refusal(f"there is more than {bounds}, which was left out; compress its folders one by one")
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


def _jobs(root: int, tree: FileTree, tallies: dict[str, Tally]) -> Iterator[_Job]:
    for name in tree:
        if name.endswith(_OURS) or not is_text(content_type_of(name)):
            continue
        info = _look(root, name)
        if info is None or not _SMALLEST <= info.st_size <= _LARGEST:
            continue
        job = _Job(name, info)
        for ending, tally in tallies.items():
            if _is_current(root, name, ending, info):
                tally.current += 1
            else:
                job.missing.append(ending)
        if job.missing:
            yield job


def _look(root: int, name: bytes) -> os.stat_result | None:
    """Of a file; of a link or anything else, or if it is gone meanwhile, nothing."""
    try:
        info = os.stat(name, dir_fd=root, follow_symlinks=False)
    except OSError:
        return None
    return info if stat.S_ISREG(info.st_mode) else None


def _is_current(root: int, name: bytes, ending: str, info: os.stat_result) -> bool:
    """A sibling has its file's own time: one of another time is of another content."""
    sibling = _look(root, name + ending.encode())
    return sibling is not None and sibling.st_mtime_ns == info.st_mtime_ns


def _run(root: int, job: _Job, codings: dict[str, Compress]) -> dict[str, _Outcome]:
    """Outcomes by ending; none of a file that is gone since."""
    done: dict[str, _Outcome] = {}
    for ending in job.missing:
        try:
            found = _read(root, job.name)
            if found is None:
                return {}
            data, info = found
            packed = codings[ending](data)
            is_worth_it = len(packed) <= len(data) * _WORTH
            _replace(root, job.name + ending.encode(), packed if is_worth_it else None, info)
            done[ending] = len(packed) if is_worth_it else 0
        except OSError as problem:
            done[ending] = problem.strerror or str(problem)
        except (
            Exception
        ) as problem:  # of a library, or no memory: the other files are compressed all the same
            done[ending] = repr(problem)
    return done


def _read(root: int, name: bytes) -> tuple[bytes, os.stat_result] | None:
    """A file and what was known of it before and after; never through a link, be it put there this moment."""
    try:
        fd = open_beneath(root, name, links=Links.NEVER)
    except OSError:
        if _look(root, name) is None:
            return None
        raise
    with open(fd, "rb") as file:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            return None
        data = file.read(_LARGEST + 1)
        after = os.fstat(fd)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, len(data)):
        raise OSError("it changed while it was read; run this again")
    return data, before


def _replace(root: int, sibling: bytes, packed: bytes | None, info: os.stat_result) -> None:
    """Complete before it has its name; one that is of no use any more is taken away."""
    path, _, name = sibling.rpartition(b"/")
    folder = open_beneath(root, path, links=Links.NEVER)
    try:
        if packed is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
            return
        # Cut: the name of a file may be as long as a name can be. Random: two may compress one tree.
        new = b".%b.%b" % (name[:200], secrets.token_hex(4).encode())
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            _write(fd, packed, info)
            os.replace(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(new, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def _write(fd: int, packed: bytes, info: os.stat_result) -> None:
    """With its file's owner, as far as we may give it away, rights and time: who serves one serves both."""
    with open(fd, "wb") as file:
        file.write(packed)
        file.flush()
        with contextlib.suppress(PermissionError):
            os.fchown(fd, info.st_uid, info.st_gid)
        os.fchmod(fd, stat.S_IMODE(info.st_mode) & 0o777)
        os.utime(fd, ns=(info.st_mtime_ns,) * 2)


def _count(tally: Tally, job: _Job, outcome: _Outcome, problems: list[str]) -> None:
    if isinstance(outcome, str):
        problems.append(f"{shown_path(os.fsdecode(job.name))}: {outcome}")
    elif outcome:
        tally.files += 1
        tally.before += job.info.st_size
        tally.after += outcome
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
