"""Numbers, endings and time spans as people read them."""


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
