"""A TCP socket whose last close(2) waits: its peer reads nothing, and SO_LINGER is set."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

LONG = 8  # seconds


@contextmanager
def lingering() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname(), timeout=5)
        peer, _ = listener.accept()
    sock.setblocking(False)
    try:
        while sock.send(bytes(1 << 20)):
            pass
    except BlockingIOError:
        pass
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LONG))
    with peer, sock:
        try:
            yield sock
        finally:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()  # a reset: nobody waits on
