"""Which groups a key exchange may use: those Mozilla names, and none that OpenSSL adds by default.

Python has no way to say so before 3.15. OpenSSL's own configuration has (config(5), `system_default`), and
loading it is a documented function of the library that is loaded already: no pointer of Python's is touched.
"""

import ctypes
import os
import ssl
from functools import cache

# Guideline 5.8 puts the hybrid in front; OpenSSL knows it from 3.5 on.
_HYBRID = ["X25519MLKEM768"] if ssl.OPENSSL_VERSION_INFO >= (3, 5) else []
_NAMES = ":".join([*_HYBRID, "X25519", "P-256", "P-384"])
# As a hello names the last three (RFC 8446, 4.2.7), and nothing after them.
_IN_A_HELLO = b"\x00\x1d\x00\x17\x00\x18"
_CONFIGURATION = f"""\
openssl_conf = trivet
[trivet]
ssl_conf = trivet_ssl
[trivet_ssl]
system_default = trivet_groups
[trivet_groups]
Groups = {_NAMES}
"""


@cache
def limit_groups() -> bool:
    """For every context made in this process and its children from now on; whether it had an effect."""
    if not hasattr(ssl.SSLContext, "set_groups"):
        _load_configuration()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    set_groups(context)
    return _IN_A_HELLO in _hello(context)


def set_groups(context: ssl.SSLContext) -> None:
    """For one context, where Python can."""
    if hasattr(context, "set_groups"):
        context.set_groups(_NAMES)


def _load_configuration() -> None:
    try:
        import _ssl

        # Looked up through the module that is linked to it: any other copy would not be the one that is used.
        load = ctypes.CDLL(_ssl.__file__).CONF_modules_load_file
    except (ImportError, AttributeError, OSError):
        return  # linked into the interpreter: what it exports is its own affair
    load.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong]
    load.restype = ctypes.c_int
    file = os.memfd_create("groups")
    try:
        os.write(file, _CONFIGURATION.encode())
        load(f"/proc/self/fd/{file}".encode(), None, 0)
    finally:
        os.close(file)


def _hello(context: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
