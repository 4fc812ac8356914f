"""Numbers, endings, time spans and networks as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivet_common.config import TrustedProxies


def count(number: int, what: str, several: str = "") -> str:
    """A number and what it counts, in the singular or the plural."""
    return f"{number} {what if number == 1 else several or what + 's'}"


def ending(status: int) -> str:
    """How a process ended, by its exit status or, negative, its signal."""
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def age(seconds: float) -> str:
    """A time span: 0.4 s, 12 s, 3 m 4 s, 2 h 10 m, 5 d 3 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole} s"


def memory(size: int) -> str:
    """Bytes as people compare them: 740 KiB, 87 MiB, 1.4 GiB."""
    if size < 1024 * 1024:
        return f"{size // 1024} KiB"
    mebibytes = size / 1024 / 1024
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"


def printable(text: str, *, ascii_only: bool = False) -> str:
    """Text from outside in which nothing drives a terminal; escaped, what might."""
    if ascii_only:
        text = text.encode("ascii", "backslashreplace").decode()
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def networks(found: TrustedProxies) -> list[str]:
    """As they are written in the file."""
    return [*map(str, found.networks), *(["unix"] if found.unix else [])]
