"""Waiting for the PROXY header of a connection that was just accepted, within a time and a size.

Takes from the socket what is the header's and not a byte more. Knows nothing of what is served afterwards.
"""

import socket
from collections.abc import Callable

import trio
from trio.lowlevel import wait_readable

from trivet_common.config.addresses import TrustedProxies

from .introduction import Introduction, IntroductionError

# A balancer sends it with the first bytes (section 2 asks for 3 s at least, for a lost packet).
TIMEOUT = 5.0
_GLANCE = 2048


async def hear_introduction(
    sock: socket.socket, sender: str | None, known: TrustedProxies, begun: Callable[[], None]
) -> tuple[str, int] | str | None:
    """The address of the client: told, or the sender's own. Raises IntroductionError, OSError.

    `begun` is called once something has come.
    """
    if not known.trusts(sender):
        raise IntroductionError("not one of those that proxy_protocol names; refused")
    introduction = Introduction()
    sock.setblocking(False)
    with trio.move_on_after(TIMEOUT):
        while not introduction.is_whole:
            if await _hear_more(sock, introduction):
                begun()
        return introduction.client or ((sender, 0) if sender is not None else None)
    raise IntroductionError(f"no whole PROXY header within {TIMEOUT:g} s; refused")


async def _hear_more(sock: socket.socket, introduction: Introduction) -> bool:
    try:
        data = sock.recv(_GLANCE, socket.MSG_PEEK)
    except BlockingIOError:
        await wait_readable(sock)
        return False
    if not data:
        raise OSError("it has left")
    # What was looked at is there: this takes all that was asked for.
    sock.recv(introduction.take(data))
    return True
