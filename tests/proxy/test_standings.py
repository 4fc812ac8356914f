"""How servers stand: said when it changes, kept for each process, and rubbish harms nobody."""

from typing import Any

import pytest

from trivet_proxy.standings import Bulletin, by_server, read_standings


class Upstream:
    def __init__(self, name: str, **standings: str) -> None:
        self.name = name
        self.standings = standings

    def statistics(self) -> dict[str, Any]:
        return {"servers": {name: {"busy": 1, "standing": value} for name, value in self.standings.items()}}


def test_said_when_it_changes() -> None:
    said: list[bytes] = []
    bulletin, upstream = Bulletin(said.append), Upstream("app", a="in", b="in")
    bulletin.look([])
    bulletin.look([upstream])
    bulletin.look([upstream])
    upstream.standings["b"] = "out"
    bulletin.look([upstream])
    assert [read_standings(told) for told in said] == [
        {"app": {"a": "in", "b": "in"}},
        {"app": {"a": "in", "b": "out"}},
    ]
    assert repr(bulletin) == "<Bulletin of 1 upstreams>"


def test_what_is_said_is_bounded() -> None:
    said: list[bytes] = []
    Bulletin(said.append).look([Upstream("app", **{f"s{n}": "in" for n in range(1000)})])
    assert len(read_standings(said[0])["app"]) == 64


@pytest.mark.parametrize("told", [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b"nan", b"[" * 9999])
def test_rubbish(told: bytes) -> None:
    assert read_standings(told) == {}


def test_by_server() -> None:
    said = {1: {"app": {"a": "in"}}, 0: {"app": {"a": "out", "b": "in"}, "other": {}}}
    assert by_server(said) == {"app": {"a": {"0": "out", "1": "in"}, "b": {"0": "in"}}, "other": {}}
