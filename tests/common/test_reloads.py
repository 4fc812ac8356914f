"""One reload at a time, and who is told how it goes."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet_common.control import Reply
from trivet_common.logs import ErrorLog
from trivet_common.loop import Loop
from trivet_common.notify import Notifier
from trivet_common.reloads import Done, Reloads


class Office:
    """A master's reloads, whose `done` is kept until the test calls it."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "error.log"
        self.settings: Any = "good"
        self.begun: list[Any] = []
        self.dones: list[Done] = []
        self.parent: list[bytes] = []
        self.outcomes: list[Any] = []
        self.is_slow = False
        self.why_not: str | None = None
        self.reloads = Reloads(
            self._reload,
            self._read,
            lambda: self.why_not,
            self.parent.append,
            ErrorLog(self.log, "test"),
            Notifier(),
            Loop(),
        )

    def _reload(self, settings: Any, done: Done) -> None:
        self.begun.append(settings)
        self.dones.append(done)

    def _read(self, _loop: Loop, then: Callable[[Callable[[], Any]], None]) -> None:
        if isinstance(self.settings, OSError):
            raise self.settings  # no process could be started
        self.outcomes.append(lambda: then(self._outcome))
        if not self.is_slow:
            self.outcomes.pop()()

    def _outcome(self) -> Any:
        if isinstance(self.settings, Exception):
            raise self.settings
        return self.settings

    def asker(self) -> tuple[Reply, list[Any]]:
        lines: list[Any] = []
        reply = Reply(lambda line, is_last: lines.append(json.loads(line)))
        reply.follow({"progress": True})
        return reply, lines


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_an_operator_is_told_how_far_it_is_and_how_it_ended(office: Office) -> None:
    reply, lines = office.asker()
    office.reloads.request_for(reply)
    assert office.begun == ["good"]
    office.reloads.report("1 of 2 workers")
    office.dones[0](None)
    assert lines == [{"progress": "1 of 2 workers"}, {"ok": True, "problem": ""}]
    assert office.parent == [b"progress 1 of 2 workers"]
    assert "reloaded" in office.log.read_text()


def test_there_is_one_at_a_time(office: Office) -> None:
    first, second = [], []
    office.reloads.request(first.append)
    office.reloads.request(second.append)
    assert second == ["a reload is already running"]
    office.dones[0]("it does not load")
    assert first == ["it does not load"]
    assert "the old configuration goes on: it does not load" in office.log.read_text()
    office.reloads.request(second.append)
    assert len(office.begun) == 2


def test_what_cannot_be_read_changes_nothing(office: Office) -> None:
    problems: list[str | None] = []
    office.settings = ValueError("site.yaml:3: unknown key")
    office.reloads.request(problems.append)
    office.settings = ValueError()
    office.reloads.request(problems.append)
    office.settings = OSError(11, "Resource temporarily unavailable")
    office.reloads.request(problems.append)
    assert problems == ["site.yaml:3: unknown key", "ValueError", "Resource temporarily unavailable"]
    assert office.begun == []
    assert not office.reloads.is_running


def test_while_one_is_read_no_other_begins_and_it_is_asked_once_more_whether_it_may(office: Office) -> None:
    problems: list[str | None] = []
    office.is_slow = True
    office.reloads.request(problems.append)
    assert office.reloads.is_running
    office.reloads.request(problems.append)
    office.reloads.begin("others", problems.append)
    assert problems == ["a reload is already running"] * 2
    office.why_not = "test is stopping"  # it was told so while the file was read
    office.outcomes.pop()()
    assert problems[2:] == ["test is stopping"]
    assert office.begun == []


def test_a_master_that_leaves_begins_none(office: Office) -> None:
    problems: list[str | None] = []
    office.why_not = "test is stopping"
    office.reloads.request(problems.append)
    assert problems == ["test is stopping"]
    assert "warning [test" in office.log.read_text()


def test_the_master_above_has_its_number_in_the_answer(office: Office) -> None:
    office.reloads.begin_for_parent(b"7 " + pickle.dumps("theirs"))
    assert office.begun == ["theirs"]
    office.reloads.begin_for_parent(b"8 " + pickle.dumps("theirs"))
    office.dones[0](None)
    office.reloads.begin_for_parent(b"9 " + pickle.dumps("theirs"))
    office.dones[1]("no such thing")
    assert office.parent == [
        b"reloaded 8 a reload is already running",
        b"reloaded 7",
        b"reloaded 9 no such thing",
    ]
    assert "no such thing" not in office.log.read_text()  # it is told above, and logged there, once
