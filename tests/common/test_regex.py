"""Which regular expressions are taken, and that those that are taken end soon on whatever is sent."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet_common.config.problems import Mistake
from trivet_common.config.regex import LONGEST_TEXTS, parse_regex

LINEAR = [
    r"^/a/(\d+)/(.*)$",
    r"\.php$",
    r"(?i)\.(css|js|png|jpe?g)$",
    r"^/(en|de)/(.*)$",
    r"^/([^/]+)/([^/]+)/$",
    r"^/(\d{4})/(\d{2})/([\w-]+)/?$",
    r"^(?!/admin)/(.*)$",
    r"^/(?P<name>\d+)$",
    r"^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$",
    r"^/[a-z0-9]+(?:-[a-z0-9]+)*$",
    r"^(/[a-z]{2}(?:-[a-z]{2})?)?/(.*)$",
    r"^/(?:[^/]+/)*$",
    r"^/.*+$",
    r"^/(?>a+)b",
    r"^/(a|ab)*c",
]
SQUARE = [
    r"(\w+)\.css$",
    r"^(.*?)/([^/]*)$",
    r"^/(.*)/(.*)\.php$",
    r"/(\d+)$",
    r"^.*.*$",
    r"(/{2,}[ab]+){1,3}",
]
ENDLESS = [
    (r"(a+)+$", "a repeat within a repeat"),
    (r"^(a|a)*b", "a repeat within a repeat"),
    (r"^(\d+|x)*y", "a repeat within a repeat"),
    (r"^(a|aa)*c", "a repeat within a repeat"),
    (r"^/(a?){30}a{30}$", "a repeat within a repeat"),
    (r"^/.*a.*b.*c$", "can take too long"),
    (r".*.*=.*", "can take too long"),
    (r"^(?:\d{1,9}){1,9}x", "can take too long"),
    (r"^(" + "|".join(["(a|b)?"] * 60) + "){15}x", ""),
    (r"(a)\1", "refers back"),
    (r"^(?<x>a)", "groups have numbers"),
    (r"(", "no regular expression"),
    (r"(?x) a", "flags"),
    (r"^(?:(?i:a)x?|Ax?)*c", "flags"),
    ("(?:" * 100 + "a" + ")*" * 100, "repeat within a repeat"),
    ("ä", "beyond ASCII"),
    ("", "empty"),
    ("a" * 513, "513 characters"),
]
QUICKLY_JUDGED = [
    "(a?)?" * 100,
    "(?:" * 80 + "a?" + ")?" * 80,
    "(a|b)?" * 80,
    "^" + "a?" * 250,
    "(?:" + "a?b" * 150 + ")*",
    "a{8000}" * 60,
    "a{9000,}b",
    "(" * 90 + "a" + ")" * 90,
    "(((((((a{9}){9}){9}){9}){9}){9}){9})*b",
    "a|" * 255 + "b",
]
NASTY = [b"/", b"a", b"/a", b"a/", b"a-", b"1.", b"-", b"ab", b"0", b"xx-", b".css/", b"en/"]


@pytest.mark.parametrize("text", LINEAR)
def test_taken_for_any_path(text: str) -> None:
    assert parse_regex(text).longest == LONGEST_TEXTS[0]


@pytest.mark.parametrize("text", SQUARE)
def test_taken_for_short_paths(text: str) -> None:
    assert parse_regex(text).longest in LONGEST_TEXTS[2:]


@pytest.mark.parametrize(("text", "says"), ENDLESS, ids=[text[:20] for text, _ in ENDLESS])
def test_refused(text: str, says: str) -> None:
    with pytest.raises(Mistake) as raised:
        parse_regex(text)
    assert says in f"{raised.value.message}; {raised.value.hint}"


def test_what_python_may_read_otherwise_one_day_is_refused() -> None:
    """Its warning stood among the lines of every start, in words about no line of the file."""
    with pytest.raises(Mistake, match="in two ways"):
        parse_regex("^/[[a]$")


@pytest.mark.parametrize("text", QUICKLY_JUDGED, ids=[text[:20] for text in QUICKLY_JUDGED])
def test_judging_ends_soon_too(text: str) -> None:
    began = time.thread_time()
    try:
        search, longest = re.compile(text.encode()).search, parse_regex(text).longest
    except Mistake:
        longest = 0
    assert time.thread_time() - began < 3
    if longest:
        search(b"a" * longest)
    assert time.thread_time() - began < 6


@pytest.mark.parametrize("text", LINEAR + SQUARE)
def test_what_is_taken_ends_soon(text: str) -> None:
    """CPU time, and far above what it takes: only an explosion is to be seen."""
    regex = parse_regex(text)
    search = re.compile(regex.text.encode()).search
    began = time.thread_time()
    for piece in NASTY:
        search(b"/" + (piece * regex.longest)[: regex.longest - 2] + b"\x01")
    assert time.thread_time() - began < 3


PIECES = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", "(a|b)", "(a|ab)", "(ab?)", "(?:a+b)", "$"])
REPEATS = st.sampled_from(["", "", "*", "+", "?", "*?", "{2}", "{1,3}", "{2,}"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(PIECES, REPEATS), min_size=1, max_size=5), st.booleans(), st.sampled_from(NASTY))
def test_nothing_that_is_taken_explodes(parts: list[tuple[str, str]], starts: bool, piece: bytes) -> None:
    inner = "".join(one + repeat for one, repeat in parts)
    text = ("^" if starts else "") + f"(?:{inner})" + parts[-1][1] + "c"
    try:
        regex = parse_regex(text)
    except Mistake:
        return
    began = time.thread_time()
    re.compile(regex.text.encode()).search((piece * regex.longest)[: regex.longest])
    assert time.thread_time() - began < 1
