"""What stands in braces in a header's value. Needs nothing that reads a file."""

import re

from .settings import PLACEHOLDERS

# Other braces are those of JSON (Report-To).
NAME_IN_HEADER = re.compile(r"\{([A-Za-z_]+|[0-9]+)\}")

_KNOWN = frozenset((*PLACEHOLDERS, *"123456789"))


def has_placeholders(text: str) -> bool:
    return not _KNOWN.isdisjoint(NAME_IN_HEADER.findall(text))
