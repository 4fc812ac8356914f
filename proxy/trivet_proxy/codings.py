"""Content codings: which siblings of a file there may be, and which a client takes (RFC 9110, 12.5.3).

Knows header values and endings only.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Coding(NamedTuple):
    name: bytes  # as in Content-Encoding
    ending: bytes  # of the sibling's name


# The best first: among those a client likes equally, the one that is smallest as a rule.
CODINGS = (Coding(b"br", b".br"), Coding(b"zstd", b".zst"), Coding(b"gzip", b".gz"))

_BY_NAME = {coding.name: coding for coding in CODINGS} | {b"x-gzip": CODINGS[-1]}  # RFC 9110, 8.4.1.3
_ELEMENT = re.compile(
    rb"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=(?P<q>0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?"
)
_MOST = 32


@lru_cache(maxsize=256)  # browsers send a handful of them; a flood of others only misses
def acceptable(field: bytes, known: tuple[Coding, ...] = CODINGS) -> tuple[Coding, ...]:
    """Those of `known` to prefer to none, the best first; what a client likes equally stays in order."""
    weights: dict[bytes, float] = {}
    for element in field.split(b",", _MOST)[:_MOST]:
        found = _ELEMENT.fullmatch(element.strip(b" \t"))
        if found is not None:
            weights[found["name"].lower()] = float(found["q"]) if found["q"] is not None else 1.0
    if b"x-gzip" in weights:
        weights.setdefault(b"gzip", weights[b"x-gzip"])
    others = weights.get(b"*", 0.0)
    # A client that says how much it likes no coding at all is taken at its word.
    least = weights.get(b"identity", 0.0)
    ranked = [(weights.get(coding.name, others), coding) for coding in known]
    return tuple(
        coding
        for weight, coding in sorted(ranked, key=lambda pair: -pair[0])
        if weight > 0 and weight >= least
    )
