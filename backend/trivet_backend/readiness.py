"""The ready check of a new worker: a path asked of its application before anybody else may ask for one.

Owns what counts as ready. Knows no socket and no deadline: the master has that.
"""

from __future__ import annotations

import io

from trivet_backend.answer import answer
from trivet_backend.application import WsgiApplication
from trivet_backend.environ import EnvironBuilder, Peer
from trivet_backend.response import Response
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.request import RequestReader

# RFC 9110, 15.6: the server's fault. What is below, a redirect to https or a refused host too, is an answer.
_FAULT = 500
_ID = "ready"


def why_not_ready(application: WsgiApplication, environs: EnvironBuilder, path: str) -> str | None:
    """None if a GET of `path` is answered with a status below 500; else what came, with the traceback."""
    lines = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: trivet\r\n\r\n"
    head = RequestReader(HeadLimits()).feed(lines.encode("latin-1", "replace"))
    assert head is not None
    environ = environs.build(head, Peer("127.0.0.1", 0, False), io.BytesIO(), _ID)
    link, said = _Sink(), _Said()
    response = Response(link, said, head, _ID, False, False)
    answer(application, environ, response)
    if response.code and response.code < _FAULT and not response.is_broken:
        return None
    what = f"answered {response.code}" if response.code else "answered nothing"
    return "\n".join([f"the ready check of {path} {what}", *said.errors])


class _Sink:
    """A client that takes everything and keeps nothing."""

    def send(self, data: bytes) -> None:
        """Gone."""

    def send_file(self, fd: int, offset: int, count: int, is_handed: bool) -> int:
        return count


class _Said:
    """The log of one request: what it says becomes the reason."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)

    def debug(self, text: str) -> None:
        """Nobody asked."""
