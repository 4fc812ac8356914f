"""Requests written and spoilt at random: the gate never stumbles, its verdict does not depend on how they
are cut, and it takes nothing that h11 would not.
"""

import re
from collections.abc import Iterable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.common.gate_driver import bytewise, read
from tests.common.h11_driver import disagreement
from tests.requests.corpus import accepted
from tests.requests.strategies import answers, connections
from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import Body
from trivet_common.http1.response import ResponseReader, body_framing

# The budget of an ordinary run; fixed seeds, so that a failure is everybody's.
budget = settings(max_examples=400, deadline=None, derandomize=True, database=None)


@budget
@given(connections, st.lists(st.integers(1, 80), max_size=10))
def test_the_verdict_does_not_depend_on_segments(data: bytes, cuts: list[int]) -> None:
    whole = read([data])
    assert read(bytewise(data)) == whole
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert read([piece for piece in (*pieces, rest) if piece]) == whole


@budget
@given(connections)
@example(b"GET /a?{b} HTTP/1.1\r\nHost: a.example\r\n\r\n")
def test_what_passes_is_clean(data: bytes) -> None:
    verdict = read([data])
    for request, found in zip(verdict.requests, verdict.names, strict=True):
        assert re.fullmatch(rb"[A-Z]+", request.method)
        assert re.fullmatch(rb"(/[!$-;=?-\[\]_a-z~]*|\*)", request.target)
        assert all(re.fullmatch(rb"[a-z0-9][a-z0-9-]*", name) for name in found)
        assert not found & {b"proxy", b"x-accel-redirect"}


@budget
@given(connections)
def test_h11_takes_what_we_take(data: bytes) -> None:
    assert not disagreement(data)


def test_h11_takes_the_corpus_that_we_take() -> None:
    for entry in accepted():
        assert not disagreement(entry.data), entry.name


@budget
@given(answers(), st.lists(st.integers(1, 40), max_size=6))
def test_an_answer_is_judged_alike_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = read_answer([data])
    assert whole[0].startswith(("complete", "no head", "upstream_bad "))
    assert read_answer(bytewise(data)) == whole
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert read_answer([piece for piece in (*pieces, rest) if piece]) == whole


def read_answer(pieces: Iterable[bytes]) -> tuple[str, bytes, bytes]:
    """What became of an answer to a GET (complete, or its flaw), its body if complete, and what followed."""
    reader = ResponseReader()
    body: Body | None = None
    data = rest = b""
    try:
        for piece in pieces:
            if body is not None and body.is_complete:
                rest += piece
                continue
            if body is None:
                head = reader.feed(piece)
                if head is None:
                    continue
                body, piece = body_framing(b"GET", head), reader.take_rest()
            if body.is_complete:
                rest += piece
            else:
                data += body.feed(piece)
                rest += body.rest
        if body is not None:
            body.eof()
    except HttpError as refused:
        return f"{refused.why} {refused.detail}", b"", b""
    return "complete" if body is not None else "no head", data, rest
