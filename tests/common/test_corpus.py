"""The corpus of raw requests against the gate: one verdict, whole, byte by byte and split at every point."""

import pytest

from tests.common.gate_driver import bytewise, read, two_pieces
from tests.requests.corpus import Entry, accepted, refused

REFUSED, ACCEPTED = refused(), accepted()


def test_there_are_as_many_as_promised() -> None:
    assert len(REFUSED) >= 165
    assert len(ACCEPTED) >= 34
    names = [entry.name for entry in REFUSED + ACCEPTED]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("entry", REFUSED, ids=str)
def test_is_refused(entry: Entry) -> None:
    verdict = read([entry.data], at_eof=entry.at_eof)
    assert verdict.status == entry.status, verdict
    assert tuple(verdict.requests) == entry.requests


@pytest.mark.parametrize("entry", ACCEPTED, ids=str)
def test_is_accepted(entry: Entry) -> None:
    verdict = read([entry.data])
    assert (verdict.status, verdict.why) == (0, None)
    assert not verdict.is_waiting
    assert tuple(verdict.requests) == entry.requests
    assert not set(entry.without) & set().union(*verdict.names)


@pytest.mark.parametrize("entry", REFUSED + ACCEPTED, ids=str)
def test_verdict_does_not_depend_on_segments(entry: Entry) -> None:
    whole = read([entry.data], at_eof=entry.at_eof)
    assert read(bytewise(entry.data), at_eof=entry.at_eof) == whole
    for pieces in two_pieces(entry.data):
        assert read(pieces, at_eof=entry.at_eof) == whole, pieces[0][-40:]
