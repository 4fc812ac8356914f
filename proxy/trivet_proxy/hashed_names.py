"""Names that carry a hash of their content, as build tools write them: such a file never changes.

Two questions, because their mistakes cost differently: a browser keeps what is_hashed for a year, so that
one asks for certainty; what may_be_hashed is only never answered with a page. Knows names, no files.
"""

from __future__ import annotations

import re

# Hexadecimal of a digest's usual lengths: webpack (8 to 20), Parcel, Angular, Next (16), Django (12).
_HEX = re.compile(
    rb"(?:[0-9a-f]{8}|[0-9a-f]{10}|[0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{20}|[0-9a-f]{32}|[0-9a-f]{40}|"
    rb"[0-9a-f]{64})\Z"
)
_HEX_RUNS = re.compile(rb"[0-9]+|[a-f]+")
# Vite and Rollup: 8 of the URL-safe base 64 alphabet. esbuild and Angular: 8 of base 32.
_BASE64 = re.compile(rb"(?=.*[a-z])(?=.*[A-Z])(?!.*[a-z]{3})[0-9A-Za-z_-]{8}\Z")
_WORDS = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_BASE32 = re.compile(rb"(?=[A-Z2-7]{8}\Z)(?=.*[A-Z])[A-Z]*[2-7]+[A-Z]")
_NUMBERS = re.compile(rb"[0-9]+")
_PERHAPS = re.compile(rb"(?=[^A-Z0-9_-]*[A-Z0-9_-])[0-9A-Za-z_-]{8}\Z")
_WHOLE = 16  # a name that is nothing but a hash is a long one
_BASE64_WORDS, _BASE64_DIGITS = 5, 3  # so many at least, at most
# People give UUIDs to things that change: somebody's picture, a device's settings.
_UUID = re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")

# What tools alone name, what people name as well, and what is named for what it is about.
_BUILT = frozenset(b"js mjs cjs css wasm woff woff2 ttf otf eot".split())
_DRAWN = frozenset(b"png jpg jpeg gif svg webp avif ico mp4 webm mp3".split())
_DATA = frozenset(b"json txt xml webmanifest glb gltf bin".split())
_ENDINGS = _BUILT | _DRAWN | _DATA
_OF_ANOTHER = frozenset({b"map", b"gz", b"br", b"zst"})
# What esbuild and Angular write in front of theirs.
_STEMS = frozenset({b"chunk", b"main", b"polyfills", b"scripts", b"styles"})


def is_hashed(name: bytes) -> bool:
    """Whether the last part of a path surely holds a content hash, and is no word, date, model or id."""
    parts = _parts(name)
    if not parts or _UUID.search(b".".join(parts)):
        return False
    if parts[-1].lower() in _BUILT:
        return any(
            _is_hex(part) or (is_at_end and (_is_base64(part) or _is_base32(part, parts[0])))
            for part, is_at_end in _candidates(parts)
        )
    # photo.27e20196a850.jpg, as builds write it; photo-27e20196a850.jpg may be one of many.
    return parts[-1].lower() in _DRAWN and len(parts) > 2 and _is_hex(parts[-2])


def may_be_hashed(name: bytes) -> bool:
    """Whether it looks as if it did."""
    return any(
        _has_hex_runs(part, 2) or (is_at_end and _PERHAPS.match(part))
        for part, is_at_end in _candidates(_parts(name))
    )


def is_built(name: bytes) -> bool:
    """Whether it may be hashed and is what a page breaks without: a script, a style sheet, a font."""
    return may_be_hashed(name) and _parts(name)[-1].lower() in _BUILT


def _parts(name: bytes) -> list[bytes]:
    """What stands between the dots of the last part of a path, if a build could have written it."""
    parts = name.rpartition(b"/")[2].split(b".")
    while len(parts) > 2 and parts[-1].lower() in _OF_ANOTHER:
        parts.pop()
    return parts if len(parts) > 1 and parts[-1].lower() in _ENDINGS else []


def _candidates(parts: list[bytes]) -> list[tuple[bytes, bool]]:
    """What of a name may be a hash, and whether it stands where bundlers put theirs."""
    if not parts:
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


def _is_hex(part: bytes) -> bool:
    """Digits and letters mixed as no date (5dec2024) and no word (decade20, cafe2024) has them."""
    return _has_hex_runs(part, 4 if len(part) <= 10 else 3)


def _has_hex_runs(part: bytes, least: int) -> bool:
    return _HEX.match(part) is not None and len(_HEX_RUNS.findall(part)) >= least


def _is_base64(part: bytes) -> bool:
    """Not June2024, iPadPro2, GoProHD9, ES6ToES5, FY2024Q3, S01E02v3: words and numbers side by side."""
    if not _BASE64.match(part):
        return False
    words = _WORDS.findall(part)
    digits = sum(len(word) for word in words if word.isdigit())
    has_single = any(len(word) == 1 and word.isalpha() for word in words)
    return len(words) >= _BASE64_WORDS and has_single and 0 < digits <= _BASE64_DIGITS


def _is_base32(part: bytes, before: bytes) -> bool:
    """Not VERSION2 or Q3REPORT: a number amid the letters, and two of them or a tool's word in front."""
    if not _BASE32.match(part):
        return False
    return before[:-9] in _STEMS or before in _STEMS or len(_NUMBERS.findall(part)) > 1
