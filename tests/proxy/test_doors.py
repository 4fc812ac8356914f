from pathlib import Path

import pytest
import trio

import trivet_proxy.doors
from tests.proxy.test_door import Meeting, put, write
from trivet_common.config import Listen
from trivet_common.config.pair import PairError
from trivet_common.config.tls import Tls
from trivet_proxy import openssl
from trivet_proxy.doors import Doors, Problems, read_problems, tell_problems


def listens(folder: Path, *names: str) -> list[Listen]:
    """A plain one, and one with these certificates."""
    pairs = tuple(write(folder, name, f"{name}.example") for name in names)
    return [Listen("80", "tcp"), Listen("443", "tcp", tls=Tls(pairs))]


def test_a_site_without_tls_has_none() -> None:
    doors = Doors([Listen("80", "tcp")])
    assert not doors
    assert doors.shortcomings == []
    assert doors.status() == doors.look() == doors.prepare([Listen("80", "tcp")]) == []


@pytest.mark.parametrize(
    ("owner", "function", "returned", "words"),
    [
        (trivet_proxy.doors, "limit_groups", False, "which groups to use"),
        (openssl, "control", None, "to keep no sessions"),
    ],
)
def test_what_this_openssl_cannot_do_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    function: str,
    returned: object,
    words: str,
) -> None:
    assert Doors(listens(tmp_path, "a")).shortcomings == []
    monkeypatch.setattr(owner, function, lambda: returned)
    (said,) = Doors(listens(tmp_path, "a")).shortcomings
    assert words in said
    assert Doors([Listen("80", "tcp")]).shortcomings == []


def test_a_reload_takes_all_or_nothing(tmp_path: Path) -> None:
    doors = Doors(listens(tmp_path, "a"))
    door = doors.at("443")
    prepared = doors.prepare(listens(tmp_path, "b", "c"))
    assert Meeting(door, "b.example").names == ["a.example"]
    doors.take(prepared)
    assert Meeting(door, "c.example").names == ["c.example"]
    assert [(row["listen"], row["hosts"]) for row in doors.status()] == [
        ("443", ["b.example"]),
        ("443", ["c.example"]),
    ]
    after = listens(tmp_path, "b", "d")
    (tmp_path / "d.key").write_text("spoilt")
    with pytest.raises(PairError):
        doors.prepare(after)
    assert Meeting(door, "c.example").names == ["c.example"]


async def test_files_are_looked_at_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trivet_proxy.doors, "EVERY", 0.01)
    doors = Doors(listens(tmp_path, "a"))
    before = Meeting(doors.at("443"), "a.example").serial
    told: list[Problems] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(doors.watch, told.append)
        pair = write(tmp_path, "a", "a.example")
        with trio.fail_after(10):
            while Meeting(doors.at("443"), "a.example").serial == before:
                await trio.sleep(0.01)
            good = pair.key.read_bytes()
            put(pair.key, b"spoilt")
            while not told:
                await trio.sleep(0.01)
            assert "holds no private key" in told[0][0][2]
            assert told[0][0][:2] == ("443", str(pair.certificate))
            put(pair.key, good)
            while told[-1]:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert len(told) == 2
    with trio.fail_after(1):
        await Doors().watch(told.append)


async def test_a_reload_loads_in_a_thread(tmp_path: Path) -> None:
    doors = Doors(listens(tmp_path, "a"))
    after = listens(tmp_path, "b")
    doors.take(await doors.prepare_aside(after))
    assert Meeting(doors.at("443"), "b.example").names == ["b.example"]
    (tmp_path / "b.key").write_text("spoilt")
    with pytest.raises(PairError):
        await doors.prepare_aside(after)
    doors.take(doors.prepare_if_possible(after))
    assert doors.problems() != []
    assert await Doors().prepare_aside([Listen("80", "tcp")]) == []


def test_one_broken_door_keeps_no_other_shut(tmp_path: Path) -> None:
    with_tls = listens(tmp_path, "a")[1]
    other = Listen("8443", "tcp", tls=Tls((write(tmp_path, "b", "b.example"),)))
    (tmp_path / "b.key").write_text("spoilt")
    doors = Doors([with_tls, other])
    assert Meeting(doors.at("443"), "a.example").names == ["a.example"]
    assert [(address, "b.key holds no" in text) for address, _, text in doors.problems()] == [("8443", True)]


@pytest.mark.parametrize(
    "told", [b"", b"{", b"{}", b"7", b"[7]", b"[[1, 2]]", b"[" * 100_000, b'{"a": 1}', b"\xff"]
)
def test_a_process_that_says_rubbish_harms_nobody(told: bytes) -> None:
    assert read_problems(told) == []


def test_what_is_told_is_read() -> None:
    problems: Problems = [("443", "/a.pem", "broken")]
    assert read_problems(tell_problems(problems)) == problems
    assert len(read_problems(tell_problems(problems * 1000))) == 100
