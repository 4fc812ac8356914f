"""No newcomers on a TCP socket that still listens, while those whom the kernel has let in are accepted.

Else the kernel completes one handshake more between the last accept(2) and the end of the listening, and that
client is reset. Knows no process.
"""

import ctypes
import socket
import struct

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER, asm-generic/socket.h
_SYN = 0x02
_FLAGS_AT = 13  # in a TCP header (RFC 9293, 3.1), which is where the kernel shows a packet to the filter
# Classic BPF (bpf(4)), of any user: load the flags; a SYN is dropped, all else let through whole.
_PROGRAM = b"".join(
    struct.pack("HBBI", *step)
    for step in (
        (0x30, 0, 0, _FLAGS_AT),
        (0x45, 0, 1, _SYN),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFFFFFF),
    )
)


def end(listening: socket.socket) -> bool:
    """Whoever comes now is not heard, asks again after a second, and finds out then. False: not possible."""
    if listening.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    steps = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    program = struct.pack("HP", len(_PROGRAM) // 8, ctypes.addressof(steps))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    except OSError:
        return False
    return True
