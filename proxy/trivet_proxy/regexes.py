"""Regular expressions of the configuration, ready to be run on what strangers send.

Only a text that the expression was judged for is tried; who sends a longer one is told that it is too long,
for a route that did not match would hand it to the next, which may be the more careless one.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

from trivet_common.config.settings_match import Regex
from trivet_common.http1.reasons import refuse

Search: TypeAlias = Callable[[bytes], re.Match[bytes] | None]


def compile_regex(regex: Regex, too_long: str = "bad_head:target_long") -> Search:
    """`too_long`: why a longer text is refused."""
    search, longest = re.compile(regex.text.encode()).search, regex.longest

    def search_within(text: bytes) -> re.Match[bytes] | None:
        if len(text) > longest:
            raise refuse(too_long, f"{regex} is tried on {longest} bytes at most.")
        return search(text)

    return search_within
