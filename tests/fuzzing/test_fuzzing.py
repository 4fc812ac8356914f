"""The part of `make fuzz` that every test run can afford, from one seed."""

from pathlib import Path

from tests.fuzzing import memory, wire
from tests.requests import found
from tests.requests.corpus import accepted, refused, unescaped

SEED = 1


def test_the_gate_and_h11_agree() -> None:
    figures = memory.run_batch(SEED, 3000)
    assert figures.failures == []
    assert figures.accepted > 500  # the inputs get past the first byte


def test_what_the_front_forwards_is_what_the_application_runs(tmp_path: Path) -> None:
    figures = wire.run(tmp_path, 300, SEED, lambda _: None)
    assert figures.failures == []
    assert (figures.hung, figures.tracebacks) == (0, 0)
    assert figures.forwarded == figures.ran > 100


def test_what_was_found_reads_as_it_was_written(tmp_path: Path) -> None:
    every_byte = bytes(range(256)) + b"\r\n-> x\r\n~ y\r\n== z\r\n\x20w \r\n{{3*a}}\r\n"
    for data in [every_byte, *(entry.data for entry in accepted() + refused())]:
        lines = found.escaped(data).rstrip("\n").split("\n")
        assert not any(line.startswith(("-> ", "~ ", "== ", "#")) for line in lines)
        assert unescaped("".join(lines)) == data
