"""Large files to many clients, quick and slow: memory stays flat, and everybody else is served meanwhile."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import Site, running
from tests.whole.talking import Talk

CONFIG = """
proxy: {processes: 1}
log: {access: off}
routes: [{path: /, files: tree}]
"""
SIZE = 48 * 1024 * 1024
MIB = 1024


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("large")
    (folder / "tree").mkdir()
    (folder / "tree" / "small.txt").write_bytes(b"small")
    with (folder / "tree" / "large.bin").open("wb") as file:
        for number in range(SIZE // (1024 * 1024)):
            file.write(bytes([number]) * (1024 * 1024))
    with running(folder, CONFIG) as site:
        yield site


def private_memory(site: Site) -> int:
    """KiB that are the site's own, of all its processes."""
    pages = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in site.processes())
    lines = "".join(pages).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private"))


def read_all(site: Site, found: list[int]) -> None:
    with Talk(site.address, patience=60) as talk:
        answer = talk.get("/large.bin")
        found.append(len(answer.body))


def test_memory_is_flat_and_others_are_served(site: Site) -> None:
    with Talk(site.address) as talk:
        assert talk.get("/small.txt").body == b"small"
        before = private_memory(site)
        slow = [Talk(site.address) for _ in range(16)]
        found: list[int] = []
        readers = [threading.Thread(target=read_all, args=(site, found)) for _ in range(4)]
        try:
            for one in slow:  # they read a head and then nothing
                one.say("GET /large.bin HTTP/1.1\nHost: a\n\n")
                assert one.file.read(15) == b"HTTP/1.1 200 OK"
            for reader in readers:
                reader.start()
            waits = []
            while any(reader.is_alive() for reader in readers) or len(waits) < 20:
                began = time.monotonic()
                assert talk.get("/small.txt").body == b"small"
                waits.append(time.monotonic() - began)
            grown = private_memory(site) - before
        finally:
            for reader in readers:
                reader.join(60)
            for one in slow:
                one.close()
    assert found == [SIZE] * 4
    # A loop that sent a file in one go would keep them waiting for all of it.
    assert sorted(waits)[len(waits) // 2] < 1.0
    assert grown < 8 * MIB, f"{grown} KiB more for 20 downloads of {SIZE} bytes"


def test_ranges_of_a_large_file(site: Site) -> None:
    with Talk(site.address) as talk:
        one = 1024 * 1024
        answer = talk.get("/large.bin", f"Range: bytes={one - 2}-{one + 1}")
        assert (answer.status, answer.body) == (206, b"\0\0\1\1")
        answer = talk.get("/large.bin", f"Range: bytes={20 * one}-{23 * one - 1},-1")
        assert answer.status == 206
        assert len(answer.body) == int(answer.headers["content-length"])
        assert answer.body.count(bytes([21]) * one) == 1
        assert talk.get("/small.txt").body == b"small"
