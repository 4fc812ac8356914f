"""Exceptions that nobody can catch (in a callback, in a finalizer): the log has them, once, and not stderr.

What a client brings about by itself is none: a hello that asks for a name beyond ASCII fails in Python's own
code before ours is asked, once for each hello. That handshake fails, and its connection says so.
"""

import sys

from .complaints import Complaints


def report_to(complaints: Complaints) -> None:
    """From now on, in this process."""

    def hook(args: "sys.UnraisableHookArgs") -> None:
        error = args.exc_value
        if isinstance(error, Exception) and not _is_a_bad_name(error, args.object):
            complaints.say_error(error, f"in {args.object!r}")

    sys.unraisablehook = hook


def _is_a_bad_name(error: Exception, where: object) -> bool:
    """Bytes that are no ASCII (ssl.SSLContext.sni_callback)."""
    return isinstance(error, UnicodeDecodeError) and isinstance(where, bytes)
