import os
from pathlib import Path

import argon2
import bcrypt
import pytest
import trio

from trivet_common.http1.errors import HttpError
from trivet_proxy import passwords as room
from trivet_proxy.passwords import Passwords

ME = b"192.0.2.7"


def bcrypted(password: bytes, rounds: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(rounds)).decode()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class File:
    """An htpasswd file and what reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.said: list[str] = []
        self.checked: list[bytes] = []
        self.passwords = Passwords(path, self.said.append, self.clock)

    def write(self, *lines: str) -> None:
        self.path.write_text("".join(line + "\n" for line in lines))
        self.clock.now += 2

    async def accepts(self, user: bytes, password: bytes, who: bytes = ME) -> bool:
        return await self.passwords.accepts(user, password, who)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> File:
    made = File(tmp_path / "users")
    really = room.is_right

    def is_right(entry: room.Entry, password: bytes) -> bool:
        made.checked.append(password)
        return really(entry, password)

    monkeypatch.setattr(room, "is_right", is_right)
    return made


async def test_bcrypt_and_argon2(file: File) -> None:
    strong = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("secret")
    file.write(f"ann:{bcrypted(b'secret')}", f"bob:{strong}", f"old:{bcrypted(b'x').replace('$2b$', '$2y$')}")
    for user, password, expected in [
        (b"ann", b"secret", True),
        (b"ann", b"Secret", False),
        (b"ann", b"", False),
        (b"ann", b"secret\0", False),
        (b"bob", b"secret", True),
        (b"bob", b"secre", False),
        (b"old", b"x", True),
        (b"eve", b"secret", False),
        (b"", b"secret", False),
    ]:
        assert await file.accepts(user, password) is expected, (user, password)
    assert file.said == []


async def test_a_stranger_costs_as_much_as_a_user_and_never_gets_in(file: File) -> None:
    """By whatever password of anybody, and not by what is remembered."""
    file.write(f"ann:{bcrypted(b'secret')}")
    for _ in range(2):
        assert not await file.accepts(b"eve", b"secret")
    assert file.checked == [b"secret", b"secret"]
    assert await file.accepts(b"ann", b"secret")
    assert not await file.accepts(b"eve", b"secret")


async def test_bcrypt_reads_72_bytes_as_it_always_did(file: File) -> None:
    file.write(f"ann:{bcrypted(b'a' * 72)}")
    assert await file.accepts(b"ann", b"a" * 80)
    assert not await file.accepts(b"ann", b"a" * 71)
    assert not await file.accepts(b"ann", b"a" * 2000)


async def test_a_success_is_remembered_briefly_and_a_failure_not(file: File) -> None:
    file.write(f"ann:{bcrypted(b'secret')}")
    for _ in range(3):
        assert await file.accepts(b"ann", b"secret")
        assert not await file.accepts(b"ann", b"wrong")
    assert file.checked.count(b"secret") == 1
    assert file.checked.count(b"wrong") == 3
    file.clock.now += room.KEEP + 1
    assert await file.accepts(b"ann", b"secret")
    assert file.checked.count(b"secret") == 2
    kept = repr(vars(file.passwords)["_known"])
    assert "secret" not in kept


async def test_names_and_passwords_that_run_together_are_told_apart(file: File) -> None:
    file.write(f"ann:{bcrypted(b'bc')}")
    assert await file.accepts(b"ann", b"bc")
    assert not await file.accepts(b"annb", b"c")


async def test_the_file_is_read_when_it_changes_and_what_it_said_is_forgotten(file: File) -> None:
    file.write(f"ann:{bcrypted(b'one')}")
    assert await file.accepts(b"ann", b"one")
    file.write(f"ann:{bcrypted(b'two')}")
    assert not await file.accepts(b"ann", b"one")
    assert await file.accepts(b"ann", b"two")
    file.write("# nobody")
    assert not await file.accepts(b"ann", b"two")


async def test_a_broken_line_keeps_its_user_out_and_nobody_else(file: File) -> None:
    file.write(f"ann:{bcrypted(b'one')}", "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "half a li")
    assert await file.accepts(b"ann", b"one")
    assert not await file.accepts(b"bob", b"password")
    assert [line.partition(": ")[0].rpartition(":")[2] for line in file.said] == ["2", "3"]


@pytest.mark.parametrize("what", ["missing", "folder", "large", "gone"])
async def test_a_file_that_cannot_be_read_lets_nobody_in(file: File, what: str) -> None:
    if what == "gone":
        file.write(f"ann:{bcrypted(b'one')}")
        assert await file.accepts(b"ann", b"one")
        file.path.unlink()
        file.clock.now += 2
    elif what == "folder":
        file.path.mkdir()
    elif what == "large":
        os.truncate(os.open(file.path, os.O_CREAT | os.O_RDWR), 2 << 20)
    for _ in range(3):
        with pytest.raises(HttpError) as refused:
            await file.accepts(b"ann", b"one")
        assert (refused.value.status, refused.value.why) == (503, "auth_unavailable")
        file.clock.now += 2
    assert len(file.said) == 1
    if what == "gone":
        file.write(f"ann:{bcrypted(b'one')}")
        assert await file.accepts(b"ann", b"one")


async def test_who_comes_with_the_same_is_checked_once(file: File) -> None:
    file.write(f"ann:{bcrypted(b'secret', 6)}")
    found = []

    async def ask() -> None:
        found.append(await file.accepts(b"ann", b"secret"))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert found == [True] * 20
    assert file.checked == [b"secret"]


async def test_one_client_cannot_take_all_places(file: File) -> None:
    file.write(f"ann:{bcrypted(b'secret', 8)}")
    assert await file.accepts(b"ann", b"secret")
    outcomes: list[object] = []

    async def guess(number: int) -> None:
        try:
            outcomes.append(await file.accepts(b"ann", b"guess %d" % number))
        except HttpError as error:
            outcomes.append(error.status)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(guess, number)
    assert sorted(outcomes, key=str) == [429] * 16 + [False] * 4
    assert not vars(file.passwords)["_of"], "nobody is remembered who waits for nothing"


async def test_a_crowd_is_told_to_come_again(file: File) -> None:
    file.write(f"ann:{bcrypted(b'secret', 8)}")
    statuses: list[int] = []

    async def guess(number: int) -> None:
        try:
            await file.accepts(
                b"ann", b"guess", b"client %d" % number
            ) if number == 0 else await file.accepts(b"u%d" % number, b"guess", b"client %d" % number)
        except HttpError as error:
            statuses.append(error.status)

    assert not await file.accepts(b"ann", b"first")
    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(guess, number)
    assert set(statuses) == {503}
    assert 20 <= len(statuses) <= 30


async def test_a_check_that_takes_too_long_is_given_up(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_PATIENCE", 0.1)
    file.write(f"ann:{bcrypted(b'secret', 13)}")
    with pytest.raises(HttpError) as refused:
        await file.accepts(b"ann", b"secret")
    assert refused.value.why == "auth_busy"


async def test_a_pipe_in_its_place_is_no_file_and_nobody_waits_for_it(file: File) -> None:
    """Its reader was waited for in a thread that never came back: no later file was ever read."""
    os.mkfifo(file.path)
    with trio.fail_after(5), pytest.raises(HttpError) as refused:
        await file.accepts(b"ann", b"secret")
    assert refused.value.why == "auth_unavailable"
    assert refused.value.detail.endswith("users: it is no file")
    file.path.unlink()
    file.write(f"ann:{bcrypted(b'secret')}")
    with trio.fail_after(5):
        assert await file.accepts(b"ann", b"secret")
