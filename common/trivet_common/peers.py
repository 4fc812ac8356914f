"""Who is at the other end of a Unix socket, and who may speak for a site in its run directory.

Asks the kernel (SO_PEERCRED, unix(7)). Knows no protocol.
"""

import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_CREDENTIALS = struct.Struct("iII")


class Peer(NamedTuple):
    """The process and the user that connected, or that began to listen; pid 0 where the kernel tells none."""

    pid: int
    uid: int


def peer_of(sock: socket.socket) -> Peer:
    """Raises OSError when the other side never was one."""
    if not hasattr(socket, "SO_PEERCRED"):
        return Peer(0, os.geteuid())  # not Linux: the rights of the path are the only guard
    pid, uid, _ = _CREDENTIALS.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return Peer(pid, uid)


def is_trusted_in(folder: Path, uid: int) -> bool:
    """Whether what `uid` has put into a folder may speak for a site: ourselves, root, the folder's owner.

    Two users of one group share a run directory: the pool's could answer there in the name of the proxy's.
    """
    try:
        return uid in (0, os.geteuid(), folder.stat().st_uid)
    except OSError:
        return False
