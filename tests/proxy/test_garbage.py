"""When the proxy looks for cycles: not while many clients are there, unless something else makes objects."""

import gc
from collections.abc import Iterator

import pytest

from trivet_proxy import garbage


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def _looked(grown: int, connections: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    looks: list[int] = []
    monkeypatch.setattr(gc, "get_count", lambda: (grown, 0, 0))
    monkeypatch.setattr(gc, "collect", lambda: looks.append(1))
    garbage.look(connections)
    return bool(looks)


def test_the_automatic_collector_is_off_and_what_is_loaded_is_set_aside() -> None:
    garbage.begin()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_a_calm_moment_is_used_once_something_has_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _looked(30_000, 10, monkeypatch)
    assert not _looked(5_000, 10, monkeypatch)


def test_a_crowd_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _looked(1_000_000, 10_000, monkeypatch)


def test_what_no_crowd_explains_is_looked_for_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _looked(2_500_000, 10_000, monkeypatch)


def test_cycles_count_as_growth_while_the_collector_is_off() -> None:
    garbage.begin()
    before = gc.get_count()[0]
    for _ in range(30_000):
        cycle: list[object] = []
        cycle.append(cycle)
    assert gc.get_count()[0] - before > 20_000
    garbage.look(0)
    assert gc.get_count()[0] < 20_000
