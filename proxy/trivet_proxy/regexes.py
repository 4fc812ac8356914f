"""Regular expressions of the configuration, ready to be run on what strangers send.

Only a text that the expression was judged for is tried; who sends a longer one is told that it is too long,
for a route that did not match would hand it to the next, which may be the more careless one.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

from trivet_common.config.settings_match import Regex
from trivet_common.http1.reasons import refuse

# `$` is the end. Python's also stands before a line end there, which a parameter of the query may have (%0A):
# `^[0-9]+$` must not take what is no number.
_PARTS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*+\]|\(\?#[^)]*+\)|\$", re.DOTALL)

Search: TypeAlias = Callable[[bytes], re.Match[bytes] | None]


def compile_regex(regex: Regex, too_long: str = "bad_head:target_long") -> Search:
    """`too_long`: why a longer text is refused."""
    text = _PARTS.sub(lambda part: r"\Z" if part[0] == "$" else part[0], regex.text)
    search, longest = re.compile(text.encode()).search, regex.longest

    def search_within(text: bytes) -> re.Match[bytes] | None:
        if len(text) > longest:
            raise refuse(too_long, f"{regex} is tried on {longest} bytes at most.")
        return search(text)

    return search_within
