"""What Python has no method to ask of OpenSSL: one message for each call, and no sessions kept.

The SSL object is looked for where it lies, and used once it is proven that it is one. Where it cannot be,
messages are counted, a client that sends many is cut off, and 20 480 sessions of 1 KiB are kept at most.
"""

import contextlib
import ctypes
import errno
import os
import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any

# A session has six at most, and new keys every some gigabytes.
MOST_MESSAGES = 64

# <openssl/ssl.h>; unchanged since they exist.
_CTRL_MODE, _CTRL_CLEAR_MODE, _CTRL_SET_CACHE_MODE = 33, 78, 44
_AUTO_RETRY = 4
_CACHE_OFF = 0
# PySSLSocket begins with what every object has and a weak reference, then comes `SSL *` (3.6 to 3.14).
_WORD = ctypes.sizeof(ctypes.c_void_p)
_PLACE = object.__basicsize__ + _WORD
# Within its first words an SSL object points to its methods (2nd in OpenSSL 1.1, 4th in 3.2).
_FIRST_WORDS = 8

_Control = Callable[[int, int, int, None], int]


def prepare(context: ssl.SSLContext) -> None:
    """Before connections are made of it.

    A session is kept for each client of TLS 1.2 that takes no ticket, 20 MiB in each process, and is found
    again only if that client comes to the same one. Tickets are kept by the clients.
    """
    if control() is None:
        context._msg_callback = _count  # type: ignore[attr-defined]
        return
    one = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    library = _library()
    library.SSL_CTX_ctrl(library.SSL_get_SSL_CTX(_address(one)), _CTRL_SET_CACHE_MODE, _CACHE_OFF, None)


def limit(sock: ssl.SSLSocket | ssl.SSLObject) -> None:
    """Before its handshake: from now on a call returns after one message, also if no data came of it.

    CPython has OpenSSL read on until there is some (SSL_MODE_AUTO_RETRY): 2.7 s for a megabyte of KeyUpdate.
    Raises OSError.
    """
    ctrl = control()
    if ctrl is not None:
        ctrl(_address(sock), _CTRL_CLEAR_MODE, _AUTO_RETRY, None)


@cache
def control() -> _Control | None:
    """OpenSSL's SSL_ctrl, if it was shown to reach the SSL objects of this interpreter."""
    try:
        library = _library()
    except (ImportError, AttributeError, OSError):
        return None  # linked into the interpreter: what it exports is its own affair
    ctrl: _Control = library.SSL_ctrl
    return ctrl if _is_proven(ctrl, library.TLS_server_method()) else None


@cache
def _library() -> ctypes.CDLL:
    import _ssl

    # Looked up through the module that is linked to it: any other copy would not be the one that is used.
    library = ctypes.CDLL(_ssl.__file__)
    for ctrl in (library.SSL_ctrl, library.SSL_CTX_ctrl):
        ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
        ctrl.restype = ctypes.c_long
    library.TLS_server_method.argtypes, library.TLS_server_method.restype = [], ctypes.c_void_p
    library.SSL_get_SSL_CTX.argtypes, library.SSL_get_SSL_CTX.restype = [ctypes.c_void_p], ctypes.c_void_p
    return library


def _is_proven(ctrl: _Control, methods: int) -> bool:
    """Whether what lies there is an SSL object of its own for each connection, and does what it is told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    both = [context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True) for _ in range(2)]
    if any(type(_inner(one)).__basicsize__ < _PLACE + _WORD for one in both):
        return False
    places = [_address(one) for one in both]
    if places[0] == places[1] or not all(methods in _words(place) for place in places):
        return False
    before = ctrl(places[0], _CTRL_MODE, 0, None)
    after = ctrl(places[0], _CTRL_CLEAR_MODE, _AUTO_RETRY, None)
    return after == before & ~_AUTO_RETRY and ctrl(places[1], _CTRL_MODE, 0, None) == before


def _inner(sock: ssl.SSLSocket | ssl.SSLObject) -> Any:
    """Raises OSError."""
    inner = sock._sslobj  # type: ignore[union-attr]
    if inner is None:  # what would lie in its place is anything
        raise OSError(errno.ENOTCONN, "the peer had ended and reset it before it was wrapped")
    return inner


def _address(sock: ssl.SSLSocket | ssl.SSLObject) -> int:
    return ctypes.c_void_p.from_address(id(_inner(sock)) + _PLACE).value or 0


def _words(address: int) -> list[int]:
    """What lies there, by way of the kernel: it says EFAULT where a look of our own would be the end."""
    size = _FIRST_WORDS * _WORD
    write = ctypes.CDLL(None).write
    write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
    write.restype = ctypes.c_ssize_t
    heard, said = os.pipe()
    try:
        if write(said, address, size) != size:
            return []
        return list((ctypes.c_size_t * _FIRST_WORDS).from_buffer_copy(os.read(heard, size)))
    finally:
        os.close(heard)
        os.close(said)


def _count(sock: Any, direction: str, _: object, kind: int, *message: object) -> None:
    """Called by OpenSSL in the middle of a call: nothing but an end of what there is to read ends that."""
    if direction != "read" or kind != 22:
        return
    sock.messages = getattr(sock, "messages", 0) + 1
    if sock.messages > MOST_MESSAGES:
        _cut(sock)


def _cut(sock: socket.socket) -> None:
    """The same descriptor, and nobody at its other end."""
    with contextlib.suppress(OSError):
        nobody, other = socket.socketpair()
        with nobody, other:
            os.dup2(nobody.fileno(), sock.fileno(), inheritable=False)
