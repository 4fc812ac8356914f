"""What a process answers when it is to take another configuration. (How it serves it: test_front.py.)"""

import pickle
from pathlib import Path

import pytest
import trio

from tests.proxy.test_front import TIME, settings_of, started
from trivet_proxy.doors import Doors, Prepared


async def test_each_question_is_answered_once_and_the_last_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates are loaded in a thread: meanwhile the master may have given up, and ask again."""
    gates: list[trio.Event] = []

    async def slow(self: Doors, listens: object) -> Prepared:
        gates.append(trio.Event())
        await gates[-1].wait()
        return []

    monkeypatch.setattr(Doors, "prepare_aside", slow)
    async with started(tmp_path) as process:
        for number, body in enumerate(("lost", "new"), 1):
            process.tell(b"reload " + pickle.dumps(settings_of(tmp_path, body)))
            with trio.fail_after(TIME):
                while len(gates) < number:  # tasks that wake together run in any order
                    await trio.sleep(0.01)
        assert (await process.ask(process.connect()))[2] == b"old"  # the loop goes on
        gates[0].set()
        assert await process.hear() == b"no it was given up meanwhile"
        gates[1].set()
        assert await process.hear() == b"ok"
        process.tell(b"switch")
        await trio.testing.wait_all_tasks_blocked()
        assert (await process.ask(process.connect()))[2] == b"new"


async def test_what_was_given_up_is_not_kept(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        process.tell(b"reload " + pickle.dumps(settings_of(tmp_path, "lost")))
        process.tell(b"drop")
        assert (await process.hear())[:2] in (b"ok", b"no")
        process.tell(b"switch")
        await trio.testing.wait_all_tasks_blocked()
        assert (await process.ask(process.connect()))[2] == b"old"
