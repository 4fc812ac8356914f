"""response_headers: remove, set, add, default, in this order."""

from __future__ import annotations

import pytest

from trivet_common.config import HeaderChanges
from trivet_proxy.shape import compile_shape, with_hsts

ANSWER = ((b"content-type", b"text/html"), (b"x-a", b"1"), (b"x-a", b"2"), (b"set-cookie", b"k=v"))

TABLE = [
    (HeaderChanges(remove=("X-A",)), [ANSWER[0], ANSWER[3]]),
    (HeaderChanges(set=(("X-A", "9"),)), [ANSWER[0], ANSWER[3], (b"x-a", b"9")]),
    (HeaderChanges(set=(("X-A", "8"), ("X-A", "9"))), [ANSWER[0], ANSWER[3], (b"x-a", b"8"), (b"x-a", b"9")]),
    (HeaderChanges(add=(("Set-Cookie", "a=b"),)), [*ANSWER, (b"set-cookie", b"a=b")]),
    (
        HeaderChanges(default=(("X-A", "9"), ("X-B", "1"), ("X-B", "2"))),
        [*ANSWER, (b"x-b", b"1"), (b"x-b", b"2")],
    ),
    (HeaderChanges(remove=("X-A",), default=(("X-A", "9"),)), [ANSWER[0], ANSWER[3], (b"x-a", b"9")]),
    (HeaderChanges(set=(("X-B", "1"),), default=(("X-B", "2"),)), [*ANSWER, (b"x-b", b"1")]),
]


@pytest.mark.parametrize(("changes", "expected"), TABLE)
def test_changes(changes, expected):
    shape = compile_shape(changes)
    for _ in range(2):
        assert list(shape(ANSWER)) == expected
    assert ANSWER[1] == (b"x-a", b"1")


def test_nothing_to_change_is_absent():
    assert compile_shape(HeaderChanges()) is None


def test_hsts_stands_behind_what_the_answer_says_itself() -> None:
    shape = compile_shape(with_hsts(HeaderChanges(), "max-age=60"))
    assert shape is not None
    assert list(shape(ANSWER)) == [*ANSWER, (b"strict-transport-security", b"max-age=60")]
    own = (b"strict-transport-security", b"max-age=0")
    assert list(shape((own,))) == [own]
    assert compile_shape(with_hsts(HeaderChanges(), None)) is None
