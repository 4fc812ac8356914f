"""What is remembered of heads is bounded, never changed, and says what judging them anew would say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.requests.corpus import accepted, refused
from tests.requests.strategies import connections
from trivet_common.http1 import request, response
from trivet_common.http1.errors import HttpError
from trivet_common.http1.recent import Recent
from trivet_common.http1.request import HeadLimits, RequestHead, parse_request_head
from trivet_common.http1.response import parse_response_head

LIMITS = HeadLimits(32 * 1024, 100)
LINES = [
    b"GET / HTTP/1.1\r\n",
    b"POST /a/b.c?d=%65&f HTTP/1.1\r\n",
    b"HEAD /static/one.txt? HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET /%41//b HTTP/1.1\r\n",
    b"GET http://b.example/ HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"BREW / HTTP/1.1\r\n",
    b"GET  / HTTP/1.1\r\n",
]
SEEN = [name for name in RequestHead.__slots__ if name != "found"]


def test_the_young_generation_becomes_the_old_one_and_what_is_asked_for_stays() -> None:
    recent: Recent[int] = Recent(3)
    for number in range(3):
        recent.keep(b"%d" % number, number)
    assert recent[b"0"] == 0
    recent.keep(b"3", 3)
    assert recent[b"1"] == 1  # young again
    recent.keep(b"4", 4)
    recent.keep(b"5", 5)
    assert [recent[b"%d" % number] for number in range(6)] == [None, 1, None, 3, 4, 5]


def test_a_flood_of_others_does_not_make_it_larger() -> None:
    recent: Recent[int] = Recent(8)
    for number in range(1000):
        recent.keep(b"%d" % number, number)
        assert recent[b"%d" % number] == number
        assert recent[b"%d" % (number // 2)] in (None, number // 2)
        assert len(recent) <= 8
    assert repr(recent) == "<Recent 6 and 8 of 8>"


def test_only_what_comes_again_is_wanted_and_marks_are_bounded_too() -> None:
    recent: Recent[int] = Recent(8)
    assert [recent.wants(b"a"), recent.wants(b"b"), recent.wants(b"a")] == [False, False, True]
    for number in range(1000):
        recent.wants(b"%d" % number)
        assert len(recent._seen) <= 32


def verdict(head: bytes) -> object:
    try:
        judged = parse_request_head(head, LIMITS)
    except HttpError as refused:
        return refused.status, refused.why
    return [getattr(judged, name) for name in SEEN]


def judged_twice(line: bytes, block: bytes) -> None:
    """Cold, and after each other line that had the same fields."""
    request._known = Recent(512)
    cold = verdict(line + block)
    for other in LINES:
        request._known = Recent(512)
        verdict(other + block)
        verdict(other + block)  # who comes once is not remembered
        assert verdict(line + block) == cold, (other, line, block)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "_known", Recent(512))
    monkeypatch.setattr(response, "_known", Recent(256))


@pytest.mark.parametrize("line", LINES)
def test_known_fields_mean_what_they_would_mean_anew(line: bytes) -> None:
    blocks = {data[data.index(b"\r\n") + 2 :] for data in heads()}
    assert len(blocks) > 100
    for block in blocks:
        judged_twice(line, block)


def heads() -> list[bytes]:
    """The first of each of the corpus."""
    found = (entry.data.partition(b"\r\n\r\n") for entry in (*accepted(), *refused()))
    return [head + end for head, end, _ in found if end and b"\r\n" in head]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(connections, st.sampled_from(LINES))
def test_spoilt_fields_too(data: bytes, line: bytes) -> None:
    head, end, _ = data.partition(b"\r\n\r\n")
    if end and b"\r\n" in head:
        judged_twice(line, (head + end).partition(b"\r\n")[2])


def test_fields_are_known_again_and_found_out_once() -> None:
    block = b"Host: a.example\r\nUser-Agent: b\r\n\r\n"
    assert parse_request_head(LINES[0] + block, LIMITS).found is None
    assert len(request._known) == 0  # it came once
    first = parse_request_head(LINES[0] + block, LIMITS)
    second = parse_request_head(LINES[1] + block, LIMITS)
    assert second.headers is first.headers
    assert second.found is first.found
    assert second.path == b"/a/b.c"


@pytest.mark.parametrize(
    "block",
    [
        b"Host: a.example\r\nCookie: " + b"c" * 2048 + b"\r\n\r\n",
        b"Host: a.example\r\n" + b"X-A: b\r\n" * 32 + b"\r\n",
        b"Host: a.example\r\nProxy: b\r\n\r\n",  # dropped, and told each time
    ],
)
def test_what_is_long_or_odd_is_judged_each_time(block: bytes) -> None:
    parse_request_head(LINES[0] + block, LIMITS)
    assert parse_request_head(LINES[0] + block, LIMITS).found is None
    assert len(request._known) == 0


def test_a_line_is_not_remembered_with_its_fields() -> None:
    """It may be as long as a head: a thousand of 30 KiB were 60 MiB. And it is nobody else's business."""
    block = b"Host: a.example\r\n\r\n"
    parse_request_head(LINES[0] + block, LIMITS)
    first = parse_request_head(b"PUT /" + b"a" * 30_000 + b"?secret HTTP/1.1\r\n" + block, LIMITS)
    assert len(first.target) == 30_008
    known = request._known[block]
    assert known is not None
    assert (known.method, known.target, known.raw_path, known.path, known.query) == (b"", b"", b"", b"", b"")


def test_a_smaller_limit_holds_for_known_fields() -> None:
    head = LINES[0] + b"Host: a.example\r\n" + b"X-A: b\r\n" * 9 + b"\r\n"
    parse_request_head(head, HeadLimits(32 * 1024, 10))
    parse_request_head(head, HeadLimits(32 * 1024, 10))
    with pytest.raises(HttpError) as refused:
        parse_request_head(head, HeadLimits(32 * 1024, 9))
    assert refused.value.why == "bad_head:too_many"


def test_an_answer_known_is_the_same_object_but_not_one_with_a_cookie() -> None:
    plain = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"
    assert parse_response_head(plain) is parse_response_head(plain)
    cookie = plain[:-2] + b"Set-Cookie: a=b\r\n\r\n"
    assert parse_response_head(cookie) is not parse_response_head(cookie)
    long = plain[:-2] + b"X: " + b"y" * 1024 + b"\r\n\r\n"
    assert parse_response_head(long) is not parse_response_head(long)
    assert len(response._known) == 1
