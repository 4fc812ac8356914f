"""Durations, sizes and rates as text. A bare number is a mistake that says what to write.

Durations are float seconds, sizes int bytes, rates bytes a second; `off` is the caller's to allow.
"""

import re

from .problems import Mistake, shown

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate(("k", "M", "G", "T"), 1)},
    "KB": 1000,
    **{f"{letter}iB": 1024**power for power, letter in enumerate(("K", "M", "G", "T"), 1)},
}
# Longer than this is a slip of the keyboard; it also keeps every timer far from overflow.
MAX_DURATION = 366 * 86400.0
MAX_SIZE = 2**62

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?\s?(ms|s|m|h|d)$"
SIZE_PATTERN = r"^[0-9]+(\.[0-9]+)?\s?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
RATE_PATTERN = SIZE_PATTERN[:-1] + "/s$"

_QUANTITY = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,18})?)\s?([A-Za-zµ]*)\Z")
_DURATION_WORDS = {
    **dict.fromkeys(("msec", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("hr", "hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
}


def parse_duration(value: object) -> float:
    """Seconds. Raises Mistake."""
    number, unit = _split(value, "a duration", "s", "30s, 500ms, 5m, 1h or 1d")
    if unit not in SECONDS:
        right = _DURATION_WORDS.get(unit.lower(), unit.lower())
        cure = f"write {number}{right}" if right in SECONDS else "write 30s, 500ms, 5m, 1h or 1d"
        raise Mistake(f'"{shown(value)}" is not a duration: the units are ms, s, m, h and d', cure)
    seconds = float(number) * SECONDS[unit]
    if seconds > MAX_DURATION:
        raise Mistake(f'"{shown(value)}" is longer than a year', "write off where that is allowed, or less")
    return seconds


def parse_size(value: object) -> int:
    """Bytes. Raises Mistake."""
    number, unit = _split(value, "a size", "MiB", "64KiB, 10MB or 1GiB")
    if unit not in BYTES:
        raise Mistake(
            f'"{shown(value)}" is not a size: the units are B, KB, MB, GB (thousands), KiB, MiB, GiB (1024s)',
            _size_cure(number, unit),
        )
    size = int(float(number) * BYTES[unit]) if "." in number else int(number) * BYTES[unit]
    if size > MAX_SIZE:
        raise Mistake(f'"{shown(value)}" is more than any disk holds', "write a smaller size")
    return size


def parse_rate(value: object) -> int:
    """Bytes a second. Raises Mistake."""
    text = str(value).strip()
    if not text.endswith("/s"):
        raise Mistake(f'"{shown(value)}" is not a rate', "write a size a second, for example 1KiB/s")
    return parse_size(text[:-2].rstrip())


def duration_text(seconds: float) -> str:
    """The shortest way to write a duration."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= SECONDS[unit] and seconds % SECONDS[unit] == 0:
            return f"{int(seconds / SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms" if seconds else "0s"


def size_text(size: int) -> str:
    """The shortest way to write a size."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= BYTES[unit] and size % BYTES[unit] == 0:
            return f"{size // BYTES[unit]}{unit}"
    return f"{size}B"


def _split(value: object, kind: str, unit: str, examples: str) -> tuple[str, str]:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Mistake(f"this must be {kind}", f"write for example {examples}")
    found = _QUANTITY.match(str(value).strip())
    if not found:
        raise Mistake(f'"{shown(value)}" is not {kind}', f"write for example {examples}")
    number, given = found.groups()
    if not given:
        raise Mistake(f'"{shown(value)}" has no unit', f"write {number}{unit} ({examples})")
    return number, given


def _size_cure(number: str, unit: str) -> str:
    # nginx writes 10m, others 10mb or 10M: all of them mean 1024s there.
    letter = unit[:1].upper()
    if letter in "KMGT" and letter:
        same = next((right for right in BYTES if right.lower() == unit.lower()), f"{letter}iB")
        return f"write {number}{same}"
    return f"write {number}B" if letter == "B" else "write for example 64KiB, 10MB or 1GiB"
