"""What stands in for stdout and stderr in a worker."""

import threading
from pathlib import Path

from trivet_backend.streams import WorkerLog, WorkerStream
from trivet_common.config import from_mapping


def worker_log(path: Path) -> WorkerLog:
    settings = from_mapping({"log": {"error": str(path)}, "pools": {"web": {"app": "shop"}}})
    return WorkerLog(settings, "web w1")


def test_a_line_is_an_event(tmp_path: Path) -> None:
    stream = WorkerStream(worker_log(tmp_path / "log").info)
    print("one", "two", file=stream)
    print("rest\x1b[31m", end="", file=stream)
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    stream.end_line()
    first, second = (tmp_path / "log").read_text().splitlines()
    assert "info [web w1 " in first
    assert first.endswith("] one two")
    assert second.endswith("] rest\\x1b[31m")


def test_lines_of_two_threads_do_not_mix(tmp_path: Path) -> None:
    stream = WorkerStream(worker_log(tmp_path / "log").info)
    begin = threading.Barrier(4)

    def print_much(name: str) -> None:
        begin.wait(5)
        for number in range(200):
            print(name, number, name, file=stream)

    threads = [threading.Thread(target=print_much, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    lines = [line.rpartition("] ")[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number} {name}" for name in "abcd" for number in range(200))


def test_lines_are_whole_or_cut() -> None:
    said: list[str] = []
    stream = WorkerStream(said.append)
    stream.write("a\nb\nhalf")
    assert said == ["a", "b"]
    stream.end_line()
    stream.end_line()
    assert said == ["a", "b", "half"]
    stream.write("x" * 70_000)  # without an end it is not kept for ever
    assert len(said) == 4
    assert (stream.encoding, stream.writable()) == ("utf-8", True)
