"""Collecting a head: under its limits, and in linear time however small the pieces are."""

import time

import pytest

from tests.common.gate_driver import bytewise, why
from trivet_common.http1.collector import HeadCollector, HeadLimits, count_clean_lines, find_head_end
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestReader

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n"


def test_limits_count_whole_heads() -> None:
    exact = GET + b"X: " + b"a" * (200 - len(GET) - 7) + b"\r\n\r\n"
    assert len(exact) == 200
    limits = HeadLimits(200, 2)
    assert RequestReader(limits).feed(exact + b"body") is not None
    assert why(lambda: RequestReader(HeadLimits(199, 2)).feed(exact)) == "bad_head:too_big"
    assert why(lambda: RequestReader(HeadLimits(200, 1)).feed(exact)) == "bad_head:too_many"


def test_find_head_end_resumes() -> None:
    head = bytearray(GET + b"\r\n")
    for searched in range(len(head)):
        assert find_head_end(head, searched) == len(head)
    assert find_head_end(head[:-1], 0) == -1


def test_small_pieces_cost_no_more_than_linear_time() -> None:
    def cost(size: int) -> float:
        data = GET + b"X: " + b"a" * size
        reader = RequestReader(HeadLimits(10**6, 100))
        started = time.process_time()
        for byte in bytewise(data):
            reader.feed(byte)
        return time.process_time() - started

    small, large = min(cost(8_000) for _ in range(3)), min(cost(64_000) for _ in range(2))
    assert large < 24 * small  # eight times the bytes; quadratic would be 64


def test_the_first_line_is_judged_once_it_ends() -> None:
    lines: list[bytes] = []
    collector = HeadCollector(100, lambda byte: None, lines.append)
    for byte in bytewise(b"first\r\nsecond\r\n\r"):
        assert collector.feed(byte) is None
    assert lines == [b"first\r\n"]
    assert not collector.is_empty
    assert collector.feed(b"\nrest") == b"first\r\nsecond\r\n\r\n"
    assert collector.is_empty
    assert collector.take_rest() == b"rest"
    assert repr(collector) == "<HeadCollector 0 of 100 bytes>"


def test_a_refusal_is_for_good() -> None:
    def judge(line: bytes) -> None:
        raise refuse("bad_head:request_line", "Because.")

    collector = HeadCollector(100, lambda byte: None, judge)
    for data in (b"a\r\n", b"a\r\n\r\n", b""):
        with pytest.raises(HttpError, match="Because"):
            collector.feed(data)


@pytest.mark.parametrize(
    ("head", "lines"),
    [
        (b"a\r\nb\r\n\r\n", 3),
        (b"\xff\t \r\n\r\n", 2),
        (b"a\rb\n\r\n", -1),
        (b"a\n\rb\r\n", -1),
        (b"a\n\r\n", -1),
        (b"a\r\r\n", -1),
        (b"a\x00\r\n", -1),
        (b"a\x7f\r\n", -1),
    ],
)
def test_only_clean_lines_are_counted(head: bytes, lines: int) -> None:
    assert count_clean_lines(head) == lines
