"""Names that carry a hash of their content, as build tools write them: such a file never changes.

Two questions, because their mistakes cost differently: a browser keeps what is_hashed for a year, so that
one asks for certainty; what may_be_hashed is only never answered with a page. Knows names, no files.
"""

from __future__ import annotations

import re

# Hexadecimal, as webpack, Parcel, Angular, Next and Django (12) write it: of a digest's usual lengths, and
# with a letter and a digit in it, because a date or a word is no hash.
_HEX = re.compile(
    rb"(?=[0-9]*[a-f])(?=[a-f]*[0-9])(?:[0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{20}|"
    rb"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\Z"
)
# esbuild and Angular: 8 of the base 32 alphabet. Vite and Rollup: 8 of the URL-safe base 64 alphabet. Both
# with a digit before the end, or capitals as no word has them: VERSION2 and Chapter1 are words.
_BASE32 = re.compile(rb"(?=[A-Z]{0,6}[2-7])(?=[2-7]*[A-Z])[A-Z2-7]{8}\Z")
_BASE64 = re.compile(
    rb"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])(?=[^0-9]{0,6}[0-9]|(?=.*[0-9])(?=.*[A-Z]{2})(?=.*[a-z][A-Z]))"
    rb"[0-9A-Za-z_-]{8}\Z"
)
_PERHAPS = re.compile(rb"(?=[^A-Z0-9_-]*[A-Z0-9_-])[0-9A-Za-z_-]{8}\Z")
_WHOLE = 16  # a name that is nothing but a hash is a long one

# What builds write; a page or a document whose name people chose is none of it.
_ENDINGS = frozenset(
    b"js mjs cjs css woff woff2 ttf otf eot png jpg jpeg gif svg webp avif ico wasm mp4 webm mp3 json txt "
    b"xml webmanifest glb gltf bin".split()
)
_OF_ANOTHER = frozenset({b"map", b"gz", b"br", b"zst"})


def is_hashed(name: bytes) -> bool:
    """Whether the last part of a path surely holds a content hash."""
    return any(
        _HEX.match(part) or (is_at_end and (_BASE32.match(part) or _BASE64.match(part)))
        for part, is_at_end in _candidates(name)
    )


def may_be_hashed(name: bytes) -> bool:
    """Whether it looks as if it did."""
    return any(
        _HEX.match(part) or (is_at_end and _PERHAPS.match(part)) for part, is_at_end in _candidates(name)
    )


def _candidates(name: bytes) -> list[tuple[bytes, bool]]:
    """Parts of the name that may be a hash, and whether one stands where bundlers put theirs."""
    parts = name.rpartition(b"/")[2].split(b".")
    if len(parts) > 2 and parts[-1].lower() in _OF_ANOTHER:
        parts.pop()
    if len(parts) < 2 or parts[-1].lower() not in _ENDINGS:
        return []
    last = parts[-2]
    found = [(part, False) for part in parts[1:-2]]
    if len(parts) > 2:
        found.append((last, True))
    if last[-9:-8] == b"-":  # such a hash may hold dashes itself: its length decides
        found.append((last[-8:], True))
    tail = last.rpartition(b"-")[2]
    if tail != last or len(parts) > 2 or len(tail) >= _WHOLE:
        found.append((tail, False))
    return found
