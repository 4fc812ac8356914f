"""wsgi.input: reads, lines, and an early end that is never a short body."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from trivet_backend.input import ArrivingBody, BodyLost, Spool

BODY = b"first line\nsecond\n\nlast without end"


def arriving(*pieces: bytes | BodyLost) -> Callable[[], bytes]:
    left = list(pieces)

    def receive() -> bytes:
        if not left:
            return b""
        piece = left.pop(0)
        if isinstance(piece, BodyLost):
            raise piece
        return piece

    return receive


def spooled(tmp_path: Path, memory: int) -> io.BufferedIOBase:
    spool = Spool(memory, tmp_path)
    for position in range(0, len(BODY), 5):
        spool.write(BODY[position : position + 5])
    return spool.as_input()  # type: ignore[return-value]


KINDS: dict[str, Callable[[Path], io.BufferedIOBase]] = {
    "in memory": lambda folder: spooled(folder, 1000),
    "in a file": lambda folder: spooled(folder, 8),
    "arriving": lambda folder: ArrivingBody(  # type: ignore[dict-item]
        arriving(*(BODY[at : at + 7] for at in range(0, len(BODY), 7)))
    ).as_input(),
}


@pytest.fixture(params=KINDS)
def body(request: pytest.FixtureRequest, tmp_path: Path) -> io.BufferedIOBase:
    return KINDS[request.param](tmp_path)


def test_read_gives_all(body: io.BufferedIOBase) -> None:
    with body:
        assert body.read() == BODY
        assert body.read() == b""
        assert body.read(10) == b""


@pytest.mark.parametrize("size", [-1, None])
def test_read_of_minus_one_and_none_gives_all(body: io.BufferedIOBase, size: int | None) -> None:
    with body:
        assert body.read(size) == BODY


def test_read_in_parts_never_goes_beyond(body: io.BufferedIOBase) -> None:
    with body:
        assert body.read(0) == b""
        assert body.read(6) + body.read(1000) == BODY


def test_lines(body: io.BufferedIOBase) -> None:
    with body:
        assert body.readline() == b"first line\n"
        assert body.readline(3) == b"sec"
        assert body.readline(None) == b"ond\n"
        assert list(body) == [b"\n", b"last without end"]


def test_readlines(body: io.BufferedIOBase) -> None:
    with body:
        assert body.readlines() == BODY.splitlines(keepends=True)


def test_readlines_with_a_hint(body: io.BufferedIOBase) -> None:
    with body:
        assert body.readlines(1) == [b"first line\n"]


@pytest.mark.parametrize("read", ["read", "readline", "readlines", "iterate"])
def test_a_body_that_breaks_off_is_an_error(read: str) -> None:
    body = ArrivingBody(arriving(b"half a li", BodyLost(32, "the client left"))).as_input()
    with body:
        for _ in range(2):  # and so it stays
            with pytest.raises(BodyLost, match="the client left"):
                list(body) if read == "iterate" else getattr(body, read)()


def test_what_came_before_the_break_can_be_read_in_parts() -> None:
    body = ArrivingBody(arriving(b"half", BodyLost(32, "the client left"))).as_input()
    with body:
        assert body.read(2) == b"ha"
        with pytest.raises(BodyLost):
            body.read(10)


def test_a_large_body_has_no_name(tmp_path: Path) -> None:
    spool = Spool(10, tmp_path)
    spool.write(b"x" * 100)
    assert list(tmp_path.iterdir()) == []
    assert "in a file" in repr(spool)
    spool.close()
