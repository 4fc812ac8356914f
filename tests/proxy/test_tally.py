"""dispatch/tally.py"""

from trivet_common.pool.queue_board import QueueCounts
from trivet_proxy.dispatch.tally import Tally


def test_what_was_counted_is_shown():
    tally = Tally()
    assert tally.counts() == QueueCounts()
    tally.claims += 3
    tally.expired += 1
    assert tally.counts() == QueueCounts(claims=3, expired=1)
    assert repr(tally).startswith("<Tally claims=3, late=0")
