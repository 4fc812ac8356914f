"""Births that no process comes of: what a template is sent, and when there is none to be had."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.backend.crews import release
from trivet_backend.births import Births
from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker
from trivet_common.channel import Channel
from trivet_common.pool.places import PoolPlaces


class Ward:
    """A template's line whose other end is the test's, and children that are only expected."""

    def __init__(self, folder: Path) -> None:
        self.places = PoolPlaces(folder / "web")
        self.places.create()
        self.line, self.far = Channel.pair()
        self.is_there = True
        self.expected: list[tuple[str, int, Channel]] = []
        self.failed: list[OSError] = []
        spawn: Any = None
        children: Any = self
        templates: Any = self
        self.births = Births(self.places, spawn, children, shared=(), uids=frozenset(), let_go=lambda: None)
        self.births.templates = templates

    def try_use(self, release: Release) -> Channel | None:
        return self.line if self.is_there else None

    def expect(self, kind: str, index: int, channel: Channel, is_ours: object) -> Any:
        self.expected.append((kind, index, channel))
        return SimpleNamespace(pid=0)

    def not_forked(self, kind: str, index: int, error: OSError) -> Any:
        self.failed.append(error)
        return SimpleNamespace(pid=0)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    found = Ward(tmp_path)
    yield found
    found.line.close()
    found.far.close()
    for _, _, channel in found.expected:
        channel.close()


def preloaded(threads: int = 1) -> Release:
    found = release(threads=threads)
    pool: Any = found.pool
    pool.preload = SimpleNamespace(threads=False)
    return found


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_template_is_sent_all_that_its_worker_will_own(ward: Ward) -> None:
    before = open_files()
    worker = ward.births.try_start(preloaded(threads=2), "/healthz?deep=1 2")
    assert worker is not None
    assert worker.incarnation == 1
    message, fds = ward.far.receive_fds()
    assert message == b"birth 1 /healthz?deep=1 2"
    assert len(fds) == 5  # channel, board, FIFO, two slots
    for fd in fds:
        os.close(fd)
    assert open_files() == before + 1  # the master's end of the channel
    assert [(kind, index) for kind, index, _ in ward.expected] == [("worker", 1)]


def test_without_a_template_nothing_is_made(ward: Ward) -> None:
    ward.is_there = False
    assert ward.births.try_start(preloaded()) is None
    assert ward.places.incarnations() == []


def test_what_a_template_cannot_take_now_leaves_nothing(ward: Ward) -> None:
    before = open_files()
    ward.far.close()
    assert ward.births.try_start(preloaded()) is None
    assert ward.places.incarnations() == []
    assert sorted(os.listdir(ward.places.directory)) == ["idle.fifo", "incarnation", "queue.board"]
    assert open_files() == before - 1
    assert ward.failed == []


def test_a_place_that_cannot_be_made_is_a_worker_that_dies_at_once(ward: Ward) -> None:
    ward.places.idle_fifo.unlink()
    worker = ward.births.try_start(preloaded())
    assert worker is not None
    assert worker.incarnation == -1
    assert [type(error) for error in ward.failed] == [FileNotFoundError]


def test_only_one_that_is_not_born_is_its_templates_fault(ward: Ward) -> None:
    given_up: list[Release] = []
    templates: Any = SimpleNamespace(give_up=given_up.append)
    ward.births.templates = templates
    for pid in (0, 17):
        child: Any = SimpleNamespace(pid=pid)
        ward.births.give_up(PoolWorker(child, pid, preloaded()))
    assert len(given_up) == 1
