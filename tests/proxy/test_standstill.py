"""dispatch/standstill.py: whose tokens are put aside, and when they are given back."""

import time

import pytest

from trivet_common.pool.board import CLAIM_WORDS, NUMBER
from trivet_common.pool.idle import Token
from trivet_proxy.dispatch.standstill import Standstill


@pytest.fixture
def words():
    row = memoryview(bytearray(8 * CLAIM_WORDS)).cast("Q")
    row[NUMBER] = 5
    return row


def test_the_tokens_of_a_worker_wait_until_it_goes_on(words):
    still = Standstill()
    assert not still.workers
    assert not still.has_put_aside(Token(0, 3, 5))
    still.note(3, words, 5)
    assert still.workers
    for token in (Token(1, 3, 9), Token(0, 3, 5), Token(0, 3, 5)):
        assert still.has_put_aside(token)
    assert not still.has_put_aside(Token(0, 4, 5))  # another worker
    assert still.give_back() == []
    words[NUMBER] = 6
    assert still.give_back() == [Token(0, 3, 5), Token(1, 3, 9)]
    assert not still.workers
    assert not still.has_put_aside(Token(0, 3, 6))
    assert still.give_back() == []


def test_one_that_never_moves_is_tried_again(words, monkeypatch):
    still = Standstill()
    still.note(3, words, 5)
    assert still.has_put_aside(Token(0, 3, 5))
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert still.give_back() == [Token(0, 3, 5)]
    assert repr(still) == "<Standstill  aside=0>"


def test_one_that_was_killed_is_forgotten(words, monkeypatch):
    """It writes no token any more that would be asked for; its board must not stay mapped for ever."""
    still = Standstill()
    still.note(3, words, 5)
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert still.give_back() == []
    assert not still.workers


def test_of_a_worker_that_counts_as_fast_as_it_can_one_token_a_slot_is_kept(words):
    still = Standstill()
    still.note(3, words, 5)
    for number in range(100):
        assert still.has_put_aside(Token(1, 3, number))
    words[NUMBER] = 6
    assert still.give_back() == [Token(1, 3, 99)]
