"""How a slot hands an open file to its proxy, which sends it on while the slot is free again.

The request says `Trivet-Takes: file`. The answer's head says `Trivet-File: OFFSET` and has no body behind it;
the proxy asks by MARK, and the slot sends MARK with the descriptor (SCM_RIGHTS). Knows no socket.
"""

TAKES_FILES = b"\r\ntrivet-takes: file"
MARK = b"\x06"
# Below this, sending the bytes takes less than asking for the descriptor.
SMALLEST = 64 * 1024


def parse_offset(value: bytes) -> int | None:
    """The offset of Trivet-File; None for what is none."""
    return int(value) if value.isdigit() and len(value) <= 19 else None
