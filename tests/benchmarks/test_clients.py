"""What the clients of event streams make of the bytes that come."""

from benchmarks.clients import delays_in


def test_each_event_says_when_it_was_sent() -> None:
    data = b"data: 1000000\n\n11\r\ndata: 3000000\n\n\r\n"
    assert list(delays_in(data, 5_000_000)) == [4.0, 2.0]


def test_what_is_no_time_is_no_event() -> None:
    assert list(delays_in(b": hello\n\ndata: soon\n\n", 5_000_000)) == []
