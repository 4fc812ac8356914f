"""Regular expressions: only a text they were judged for is tried."""

import pytest

from trivet_common.config.regex import parse_regex
from trivet_common.config.settings_match import Regex
from trivet_common.http1.errors import HttpError
from trivet_proxy.regexes import compile_regex


def test_anywhere_in_the_text_as_bytes() -> None:
    search = compile_regex(parse_regex(r"/(\d+)\.html$"))
    assert search(b"/a/12.html").groups() == (b"12",)
    assert search(b"/a/x.html") is None


@pytest.mark.parametrize(("too_long", "status"), [("bad_head:target_long", 414), ("bad_head:too_big", 431)])
def test_a_longer_text_is_refused_and_not_handed_to_the_next_route(too_long: str, status: int) -> None:
    search = compile_regex(Regex("a", longest=4), too_long)
    assert search(b"xxxa")
    with pytest.raises(HttpError) as raised:
        search(b"xxxxx")
    assert raised.value.status == status


@pytest.mark.parametrize(
    ("regex", "text", "is_found"),
    [
        ("^[0-9]+$", b"12", True),
        ("^[0-9]+$", b"12\n", False),
        ("^[0-9]+$", b"12\n\n", False),
        (r"^a\s$", b"a\n", True),
        ("^(a|b$)", b"b\n", False),
        # A $ that means itself stays one.
        (r"^a\$$", b"a$", True),
        ("^[$]$", b"$", True),
        ("^[]$]$", b"]", True),
        ("^[^]$]$", b"$", False),
        (r"^[\]$]b$", b"$b", True),
        ("^a(?#$[)$", b"a", True),
        (r"^\\$", b"\\", True),
        (r"^\\$", b"\\\n", False),
    ],
)
def test_the_end_is_the_end(regex: str, text: bytes, is_found: bool) -> None:
    assert (compile_regex(parse_regex(regex))(text) is not None) is is_found
