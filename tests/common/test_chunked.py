"""The chunked coding: what is read, what is refused at which byte, and what it costs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.common.gate_driver import bytewise, feed_body
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.framing import (
    CHUNK_END,
    LAST_CHUNK,
    Chunked,
    chunk_head,
    encode_chunk,
    last_chunk,
)

MESSAGE = b"5\r\nhello\r\n1;a=b\r\n \r\n00A\r\n0123456789\r\n0;x\r\nX: y\r\n\r\n"
DECODED = b"hello 0123456789"


def refusal(body: Chunked, *pieces: bytes) -> str:
    with pytest.raises(HttpError) as refused:
        feed_body(body, *pieces)
    return refused.value.why


def test_a_limit_is_for_all_chunks_together() -> None:
    assert feed_body(Chunked(limit=5), b"5\r\nhello\r\n0\r\n\r\n") == b"hello"
    assert refusal(Chunked(limit=5), b"6\r") == "too_large"
    assert refusal(Chunked(limit=5), b"5\r\nhello\r\n", b"1\r") == "too_large"
    assert refusal(Chunked(), b"ffffffffffffffff\r\n") == "too_large"


def test_chunked_whole() -> None:
    body = Chunked()
    assert feed_body(body, MESSAGE + b"GET /") == DECODED
    assert body.is_complete
    assert body.rest == b"GET /"
    body.eof()


def test_chunked_at_every_split() -> None:
    for first in range(len(MESSAGE) + 1):
        for second in range(first, len(MESSAGE) + 1, 7):
            body = Chunked()
            pieces = (MESSAGE[:first], MESSAGE[first:second], MESSAGE[second:] + b"rest")
            assert feed_body(body, *[piece for piece in pieces if piece]) == DECODED
            assert body.rest == b"rest"


CHUNKED_FAULTS = [
    (b"g", "bad_body:chunk_size"),
    (b"\r", "bad_body:chunk_size"),
    (b" 5", "bad_body:chunk_size"),
    (b"5 ", "bad_body:chunk_size"),
    (b"0x", "bad_body:chunk_size"),
    (b"0" * 17, "bad_body:chunk_size"),
    (b"5\n", "bad_body:chunk_size"),
    (b"5\rx", "bad_body:line_end"),
    (b"5;a\n", "bad_body:line_end"),
    (b"5;a\rb", "bad_body:line_end"),
    (b"5;\r", "bad_body:chunk_extension"),
    (b"5;a=\r", "bad_body:chunk_extension"),
    (b'5;a="\\\r', "bad_body:chunk_extension"),
    (b"5;" + b"a" * 4096, "bad_body:chunk_overhead"),
    (b"1;" + b"a" * 4000 + b"\r\nx\r\n1;" + b"a" * 95, "bad_body:chunk_overhead"),
    (b"0000000000000001\r\nx\r\n" * 9000, "bad_body:chunk_overhead"),
    (b"1\r\nxy", "bad_body:chunk_end"),
    (b"1\r\nx\n", "bad_body:chunk_end"),
    (b"1\r\nx\rx", "bad_body:chunk_end"),
    (b"0\r\nX: y\n", "bad_body:line_end"),
    (b"0\r\nX: y\rz", "bad_body:line_end"),
    (b"0\r\n\n", "bad_body:line_end"),
    (b"0\r\nX\r\n", "bad_body:trailer"),
    (b"0\r\nX : y\r\n", "bad_body:trailer"),
    (b"0\r\n X: y\r\n", "bad_body:trailer"),
    (b"0\r\nX: \x00\r\n", "bad_body:trailer"),
    (b"0\r\nCONTENT-LENGTH: 5\r\n", "bad_body:trailer"),
    (b"0\r\n" + b"X: y\r\n" * 101, "bad_body:trailer_big"),
    (b"0\r\nX: " + b"y" * 8190, "bad_body:trailer_big"),
]


@pytest.mark.parametrize(
    ("data", "reason"), CHUNKED_FAULTS, ids=[f"{reason}-{n}" for n, (_, reason) in enumerate(CHUNKED_FAULTS)]
)
def test_chunked_faults_have_one_reason_however_they_are_cut(data: bytes, reason: str) -> None:
    assert refusal(Chunked(), data) == reason
    assert refusal(Chunked(), *bytewise(data)) == reason


def test_from_an_upstream_every_fault_is_its_own() -> None:
    assert refusal(Chunked(source=Source.UPSTREAM), b"g") == "upstream_bad"
    assert refusal(Chunked(source=Source.UPSTREAM), b"f" * 16 + b"\r\n") == "upstream_bad"


def test_small_chunks_of_honest_clients_pass() -> None:
    body = Chunked()
    assert feed_body(body, b"1\r\nx\r\n" * 50_000 + LAST_CHUNK) == b"x" * 50_000
    assert body.is_complete


def test_trailers_are_kept_for_who_wants_them() -> None:
    body = Chunked()
    feed_body(body, b"1\r\nx\r\n0\r\nX-Sum: 1 \r\nX-Sum:2\r\n\r\n")
    assert body.trailers == [(b"x-sum", b"1"), (b"x-sum", b"2")]
    assert last_chunk(body.trailers) == b"0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n"
    assert last_chunk([]) == LAST_CHUNK
    with pytest.raises(ValueError, match="CR or LF"):
        last_chunk([(b"x", b"1\r\n\r\nHTTP/1.1 200 OK")])


def test_chunks_are_written() -> None:
    assert encode_chunk(b"a" * 26) == b"1a\r\n" + b"a" * 26 + b"\r\n"
    assert encode_chunk(b"") == b""
    assert chunk_head(26) + b"a" * 26 + CHUNK_END == encode_chunk(b"a" * 26)


@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.lists(st.integers(1, 60), max_size=12),
    st.binary(max_size=9),
)
def test_what_is_written_is_read_however_it_is_cut(chunks: list[bytes], cuts: list[int], rest: bytes) -> None:
    data = b"".join(map(encode_chunk, chunks)) + LAST_CHUNK + rest
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    body = Chunked()
    assert feed_body(body, *[piece for piece in (*pieces, data) if piece]) == b"".join(chunks)
    assert body.is_complete
    assert body.rest == rest


@pytest.mark.parametrize("unit", [b"1\r\nx\r\n", b"0000000000000008\r\n01234567\r\n"])
def test_small_pieces_cost_no_more_than_linear_time(unit: bytes) -> None:
    def cost(count: int) -> float:
        pieces = list(bytewise(unit * count))
        body = Chunked()
        started = time.process_time()
        for piece in pieces:
            body.feed(piece)
        return time.process_time() - started

    small, large = min(cost(500) for _ in range(3)), min(cost(4000) for _ in range(2))
    assert large < 24 * small  # eight times the bytes; quadratic would be 64
