"""Lines of the error log: whose they are, that each is one, and that nothing in them acts."""

import os
import re
import threading
from pathlib import Path

import pytest

from trivet_common.logs import ErrorLog, escape, without_trace

HEAD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} (\w+) \[(.+) (\d+)\] (.*)")


def lines(path: Path) -> list[tuple[str, ...]]:
    found = []
    for line in path.read_text().split("\n")[:-1]:
        match = HEAD.fullmatch(line)
        assert match, line
        found.append(match.groups())
    return found


def test_a_line_says_when_who_and_what(tmp_path: Path) -> None:
    log = ErrorLog(tmp_path / "log", "pool web w3")
    log.info("ready")
    log.error("Traceback:\n  File\nError\n")
    pid = str(os.getpid())
    assert lines(tmp_path / "log") == [
        ("info", "pool web w3", pid, "ready"),
        ("error", "pool web w3", pid, "Traceback:"),
        ("error", "pool web w3", pid, "  File"),
        ("error", "pool web w3", pid, "Error"),
    ]


@pytest.mark.parametrize(
    ("level", "said"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")]
)
def test_levels(tmp_path: Path, level: str, said: str) -> None:
    log = ErrorLog(tmp_path / "log", "x", level)
    log.debug("d"), log.info("i"), log.warning("w"), log.error("e")
    assert "".join(line[3] for line in lines(tmp_path / "log")) == said


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain", "plain"),
        ("é 日本 🙂", "é 日本 🙂"),
        ("a\r\nb", r"a\x0d\x0ab"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b31m\x7f\0", r"\x9b31m\x7f\x00"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\udcff", r"\udcff"),
    ],
)
def test_nothing_in_a_line_acts(text: str, safe: str) -> None:
    assert escape(text) == safe


def test_a_forged_line_stays_inside_its_own(tmp_path: Path) -> None:
    log = ErrorLog(tmp_path / "log", "x")
    log.error("who\r2026-01-01 00:00:00.000 info [serve 1] all is well\x85next")
    assert len(lines(tmp_path / "log")) == 1
    assert b"\r" not in (tmp_path / "log").read_bytes()


def test_what_was_lost_is_told_when_there_is_room_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = ErrorLog(Path("/dev/full"), "x")
    for _ in range(1200):
        log.error("y" * 1000)
    log._target._name = path
    log.reopen()
    log.info("back")
    log.info("on")
    said = [line[3] for line in lines(path)]
    assert any("lines of this process could not be written" in text for text in said)
    assert said[-2] == "on"


def test_a_file_that_cannot_be_opened_again_is_told_in_the_old_one(tmp_path: Path) -> None:
    log = ErrorLog(tmp_path / "log", "x")
    (tmp_path / "log").rename(tmp_path / "old")
    (tmp_path / "log").mkdir()
    log.reopen()
    assert "Is a directory" in lines(tmp_path / "old")[0][3]


def test_processes_that_share_a_file_do_not_mix_lines(tmp_path: Path) -> None:
    def write(name: str) -> None:
        log = ErrorLog(tmp_path / "log", name)
        for _ in range(200):
            log.info(name * 500)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(10)
    found = lines(tmp_path / "log")
    assert len(found) == 600
    assert all(text == who * 500 for _, who, _, text in found)


def test_a_problem_without_its_trace() -> None:
    assert without_trace("app: no\nhint: do") == "app: no\nhint: do"
    assert without_trace("app: no\nTraceback (most recent call last):\n  File") == "app: no"
    assert without_trace('app: no\nhint: a.py:3\n  File "a.py", line 3\n    def :') == "app: no\nhint: a.py:3"
