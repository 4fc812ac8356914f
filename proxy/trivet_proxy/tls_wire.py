"""A wire whose bytes are encrypted: the same few methods over a non-blocking SSLSocket.

Owns what TLS adds to them: either direction may wait for the other, a record that was sealed must be sent as
it is, what was received may lie in the TLS buffer, and an end is announced. Knows no certificate.
"""

import contextlib
import os
import select
import socket
import ssl
from collections.abc import Callable, Sequence

import trio
from trio.lowlevel import checkpoint

from . import openssl
from .crumbs import Crumbs
from .wire import _READ, _TURN, PIECE, Wire

# The most a record holds (RFC 8446, 5.1). One SSL_write takes all of its bytes or none, and CPython does not
# set SSL_MODE_ENABLE_PARTIAL_WRITE: what is longer could not be told apart into sent and not sent.
_RECORD = 16384
# No send keeps the other tasks waiting for longer than sealing this takes (about 0.1 ms).
_MOST = 256 * 1024
_FILE_PIECE = 64 * 1024
# No request is as short as this, and reading so many records takes about a millisecond.
_CRUMB = 64
_MOST_RECORDS = 256

# Ends at which nothing is owed. At all others the client must be able to tell that something is missing: no
# close_notify (RFC 8446, 6.1), as it may read to the end.
_ORDERLY = frozenset({"", "idle_timeout", "draining", "linger"})
# A hello comes in one piece or two, the client's last word too, a record in twelve segments at most: what
# takes more wake-ups is sent in crumbs.
_USUAL_STEPS = 6
_USUAL_SEGMENTS = 16


Wrap = Callable[[socket.socket], ssl.SSLSocket]


class HandshakeFailed(Exception):
    """There is no connection: `reason` as OpenSSL names it ("HTTP_REQUEST"), or "" where the peer left."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TlsWire(Wire):
    """One peer behind TLS. `shake_hands` first; nothing else is meaningful before."""

    __slots__ = (
        "_ahead", "_crumbs", "_is_open", "_messages", "_sealed", "_wakes", "_wrap", "reads_on", "writes_on",
    )  # fmt: skip

    _sock: ssl.SSLSocket  # from the first byte on

    def __init__(self, sock: socket.socket, peer: str | None, wrap: Wrap) -> None:
        super().__init__(sock, peer)
        self._wrap = wrap
        self.reads_on: int = select.EPOLLIN
        self.writes_on: int = select.EPOLLOUT
        self._is_open = False  # the handshake is complete
        self._messages = 0  # received, and no data came of them; KiB of data are set against them
        self._wakes = 0  # for a part of a record, in a row
        self._crumbs: Crumbs | None = None
        self._sealed = b""  # a record the kernel had no room for: to be sent again, these bytes and no others
        self._ahead = 0  # bytes the kernel has taken since, and nobody was told

    @property
    def is_ready_inside(self) -> bool:  # type: ignore[override]
        return self._is_open and self.fd >= 0 and self._sock.pending() > 0

    async def shake_hands(self) -> None:
        """Raises HandshakeFailed, WireClosed."""
        # OpenSSL takes 20 to 40 KiB for a handshake: nobody gets them who has not said a word.
        await Wire.wait_until_readable(self)
        try:
            self._sock = self._wrap(self._sock)
            openssl.limit(self._sock)
        except (OSError, ValueError):
            raise HandshakeFailed("") from None  # it has left already
        crumbs, steps = Crumbs(), 0
        while True:
            try:
                self._sock.do_handshake()
                self._is_open = True
                return
            except ssl.SSLWantReadError:
                await Wire.wait_until_readable(self)
            except ssl.SSLWantWriteError:
                await Wire.wait_until_writable(self)
            except (OSError, ValueError) as error:
                if self.fd < 0:
                    raise self._closed() from None
                raise HandshakeFailed(getattr(error, "reason", None) or "") from None
            steps += 1
            if steps > _USUAL_STEPS and (pause := crumbs.pause_after(0, trio.current_time())):
                await trio.sleep(pause)

    def give_up_encryption(self) -> Wire:
        """The bare wire to a peer that turned out not to speak TLS. This one is closed."""
        bare = Wire(socket.socket(fileno=self._sock.detach()), self.peer)
        self.ended_by, self.fd = "plain", -1
        return bare

    @property
    def certificate(self) -> bytes:
        """The client's, in DER, if it showed one; then it was verified. Else b""."""
        return self._sock.getpeercert(binary_form=True) or b""

    # Receiving.

    def try_receive(self, limit: int = PIECE) -> bytes | None:
        try:
            data = self._sock.recv(limit)
        except ssl.SSLWantReadError:
            self.reads_on = select.EPOLLIN
            if not self._spent:  # we were woken for nothing
                self._count_messages()
            return None
        except ssl.SSLWantWriteError:
            self.reads_on = select.EPOLLOUT
            return None
        except BlockingIOError:  # after end_sending
            return None
        except (OSError, ValueError):
            if self.fd < 0:
                raise self._closed() from None
            self.was_reset = True
            return b""
        if limit > len(data) and (len(data) == _RECORD or len(data) < _CRUMB) and data:
            data += self._receive_more(limit - len(data))
        self._spent += len(data) + _READ
        if self._wakes:
            self._wakes, self._crumbs = 0, None
        if self._messages:
            self._messages = max(self._messages - len(data) // 1024, 0)
        return data

    async def wait_until_readable(self) -> None:
        if self.is_ready_inside:
            await checkpoint()
        elif self.reads_on == select.EPOLLIN:
            await Wire.wait_until_readable(self)
            if self._wakes > _USUAL_SEGMENTS:
                await self._leave_alone()
        else:
            await Wire.wait_until_writable(self)

    # Sending.

    def try_send(self, data: bytes | memoryview, more: bool = False) -> int:
        """How much of `data` is sent. What was not must come again, as it does: a stream is in order."""
        if not self._is_open:
            if self.fd < 0:
                raise self._closed()
            return 0  # before the handshake nothing can be said, and nothing is said in plain text
        if self._sealed and not self._seal(self._sealed):
            return 0
        size = len(data)
        sent = min(self._ahead, size)
        self._ahead -= sent
        if not sent and size <= _RECORD:
            return size if not size or self._seal(data) else 0
        view = memoryview(data)
        while sent < size and sent < _MOST:
            piece = view[sent : sent + _RECORD]
            if not self._seal(piece):
                break
            sent += len(piece)
        return sent

    def try_send_parts(self, parts: Sequence[bytes | memoryview]) -> int:
        return self.try_send(b"".join(parts))

    def try_send_file(self, fd: int, offset: int, count: int) -> int | None:
        if self.fd < 0:
            raise self._closed()
        try:
            piece = os.pread(fd, min(count, _FILE_PIECE), offset)
        except OSError:
            return 0
        return self.try_send(piece) or None if piece else 0

    async def wait_until_writable(self) -> None:
        if self.writes_on == select.EPOLLOUT:
            await Wire.wait_until_writable(self)
        else:
            await Wire.wait_until_readable(self)

    # The end.

    def close(self, why: str = "") -> None:
        if self.fd >= 0 and why in _ORDERLY:
            self._say_goodbye()
        super().close(why)

    expire = close

    def end_sending(self) -> None:
        """As of a bare wire. What is received afterwards is only good for being thrown away."""
        self._say_goodbye()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def has_input(self) -> bool:
        if self.is_ready_inside:
            return True
        return Wire.has_input(self)

    async def _leave_alone(self) -> None:
        """A record in single bytes cost 50 us for each of them."""
        self._crumbs = self._crumbs or Crumbs()
        if pause := self._crumbs.pause_after(0, trio.current_time()):
            await trio.sleep(pause)

    def _receive_more(self, limit: int) -> bytes:
        """One read gives one record. After a full one more is likely; and who sends crumbs decides how many
        records there are, and not how often everybody above is bothered (crumbs.py).
        """
        pieces = []
        try:
            for _ in range(_MOST_RECORDS):
                pieces.append(piece := self._sock.recv(limit))
                self._spent += _READ
                limit -= len(piece)
                if not piece or limit <= 0:
                    break
        except (OSError, ValueError):
            pass  # nothing there; an error comes again
        return b"".join(pieces)

    def _count_messages(self) -> None:
        """A message that is no data costs us more than who sends it: new keys, or a "no" (CVE-2011-1473).

        Of a record in pieces nothing is left in the socket. Raises WireClosed.
        """
        if Wire.has_input(self):
            self._messages += 1
            if self._messages > openssl.MOST_MESSAGES:
                self.close("tls_flood")
                raise self._closed()
        else:
            self._wakes += 1

    def _seal(self, piece: bytes | memoryview) -> bool:
        """Send one record; False if the kernel has no room, and then it is kept as it is."""
        again = piece is self._sealed
        try:
            self._sock.send(piece)
        except ssl.SSLWantWriteError:
            self.writes_on = select.EPOLLOUT
            self._sealed = bytes(piece)
            return False
        except ssl.SSLWantReadError:
            self.writes_on = select.EPOLLIN
            self._sealed = bytes(piece)
            return False
        except (OSError, ValueError):
            raise self._closed() from None
        if again:
            self._ahead, self._sealed = len(piece), b""
        self.given += len(piece)
        self._spent += len(piece) + _TURN
        return True

    def _say_goodbye(self) -> None:
        """close_notify, without waiting for the peer's: it may never come."""
        if self._is_open and not self._sealed:
            self._is_open = False
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()
