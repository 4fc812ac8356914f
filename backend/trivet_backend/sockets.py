"""Unix sockets of the run directory, with the right rights from their first moment on.

Knows nothing of what is spoken on them.
"""

import os
import socket
from pathlib import Path

from trivet_common.foreign import refuse_descriptors


def bind_unix(path: Path, group: int | None) -> socket.socket:
    """A bound socket that does not listen yet: for its user (0600), or for a group too (0660)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    refuse_descriptors(sock)  # and with it whatever it accepts
    before = os.umask(0o177 if group is None else 0o117)
    try:
        sock.bind(os.fspath(path))
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    if group is not None:
        # Not what a link leads to: root does this in a folder that other programs may once have written to.
        os.chown(path, -1, group, follow_symlinks=False)
    return sock


def listen_unix(path: Path, group: int | None, backlog: int) -> socket.socket:
    """Listening before it stands under its name: a path without a listener is never seen."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    sock = bind_unix(fresh, group)
    sock.listen(backlog)
    os.rename(fresh, path)
    return sock
