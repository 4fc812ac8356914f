"""One request's way through a pool: claim, send, and the answer, or the next slot where the rules allow it.

Owns the outcomes of a claim (docs/architecture.md): what may be sent again, and why. Knows no socket.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import REASONS, refuse
from trivet_common.http1.response import ResponseHead, body_framing
from trivet_common.pool.claims import was_entered

from ..forwarded import build_upstream_head
from ..wire import WireClosed
from .answer import let_go, receive_head, relay
from .handover import offset_in, relay_file
from .pool import HELD_UP, PoolDispatch
from .slots import SlotLink
from .upload import Upload, framing_line, send_request

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

# Slots that gave one request back before its application was entered: by then the pool is falling apart.
_MOST_RETURNS = 16
# How many workers that stand still give one request back: when all do, it is the machine.
_MOST_WITHDRAWN = 4


class Exchange:
    """One request and the slots it meets, one after the other. `run` returns when the answer was given."""

    __slots__ = ("_deaths", "_dispatch", "_link", "_request", "_returns", "_route", "_upload", "_writer")

    def __init__(self, dispatch: PoolDispatch, request: Request, writer: ResponseWriter) -> None:
        self._dispatch = dispatch
        self._request = request
        self._writer = writer
        assert request.route is not None
        self._route = request.route
        self._link: SlotLink | None = None
        self._upload: Upload | None = None
        self._returns = 0
        self._deaths = 0

    def __repr__(self) -> str:
        head, link = self._request.head, self._link
        return f"<Exchange {head!r} on {link!r}, returns={self._returns} deaths={self._deaths}>"

    async def run(self) -> None:
        dispatch = self._dispatch
        while True:
            link = dispatch.try_claim()
            if link is not None:
                self.begin(link)
            else:
                is_again = self._returns + self._deaths > 0
                await dispatch.queue.wait(self, is_again)
            upload = self._upload
            if await (self._converse() if upload is None else upload.during(self._converse)):
                return

    # What the queue asks of a claimant.

    @property
    def client_fd(self) -> int:
        return self._writer.wire.fd

    def is_gone(self) -> bool:
        return self._writer.is_gone()

    def note_queued(self, seconds: float) -> None:
        self._request.record.queued += seconds

    def begin(self, link: SlotLink) -> None:
        """Send as much as goes at once; the ordinary request goes whole. Never waits."""
        request, dispatch = self._request, self._dispatch
        self._link = link
        link.sent = time.monotonic_ns()
        link.is_patient = self._returns >= _MOST_WITHDRAWN or not request.body.is_complete
        head = build_upstream_head(request, framing_line(request), self._extra(link))
        self._upload = send_request(request, link, head, self._route.timeout)
        dispatch.in_flight.add(link)
        dispatch.tally.claims += 1
        if request.record.queued > dispatch.terms.late:
            dispatch.tally.late += 1

    # Ours.

    async def _converse(self) -> bool:
        """Receive and pass on the answer; False when the request is to go to another slot."""
        link = self._link
        assert link is not None
        try:
            head = await receive_head(link)
        except WireClosed as closed:
            self._judge_close(closed.why)
            head = None
        except BaseException:
            link.discard()
            raise
        finally:
            self._dispatch.in_flight.discard(link)
        if head is None:
            self._judge_loss(link)
            return False
        if head.status == 409 and head.get(b"trivet-claim") == b"stale":
            self._let_go(link, head)
            self._go_back()
            return False
        if head.status >= 500:
            self._judge_marker(link, head)
        offset, sieve = offset_in(head, self._request.head.method), self._dispatch.sieve
        try:
            if offset is not None:
                await relay_file(link, head, offset, self._writer, sieve, self._dispatch.lane)
                return True
            why = await relay(link, head, self._request, self._writer, sieve, self._route.timeout)
        except HttpError as error:
            self._judge_cut(error)
            return False
        if why is not None:
            self._count(why)
        return True

    def _count(self, why: str) -> None:
        self._dispatch.tally.timeouts += why == "deadline"

    def _judge_close(self, why: str) -> None:
        """Our side closed the wire: the clock, the client, or the sweep, which lets the request live."""
        if why in REASONS:
            self._count(why)
            raise refuse(why)

    def _judge_cut(self, error: HttpError) -> None:
        """The answer ended before the client has seen a byte of it."""
        if error.why != "worker_died":
            self._count(error.why)
            raise error
        self._judge_death()

    def _judge_loss(self, link: SlotLink) -> None:
        """The connection ended without an answer: go on to another slot, or raise."""
        was_held_up = link.wire.ended_by == HELD_UP
        link.discard()
        if was_held_up or not was_entered(link.words, link.number, link.nonce):
            self._go_back()
            return
        self._judge_death()

    def _judge_death(self) -> None:
        """The worker died in the application: once more, if the configuration lets this method be."""
        request, dispatch = self._request, self._dispatch
        self._deaths += 1
        dispatch.tally.deaths += 1
        if self._deaths > 1:
            dispatch.tell_twice(f"{request.head} (request {request.request_id})")
            raise refuse("worker_twice")
        if request.head.method not in dispatch.terms.retried:
            raise refuse("worker_died")
        self._judge_body()
        dispatch.tally.retries += 1

    def _go_back(self) -> None:
        """To the front of the queue, whatever the method: no application has seen it."""
        self._returns += 1
        self._dispatch.tally.returns += 1
        if self._returns > _MOST_RETURNS:
            raise refuse("pool_down", f"{_MOST_RETURNS} slots in a row could not take this request.")
        self._judge_body()

    def _judge_body(self) -> None:
        """What was streamed to a slot is gone; everything else can be sent again from where it waits."""
        if self._upload is not None and self._upload.is_spent:
            raise refuse("worker_died", "The slot was lost while the body was being streamed to it.")

    def _judge_marker(self, link: SlotLink, head: ResponseHead) -> None:
        """The slot says that the failure is not an answer of the application's: ours is the page to show."""
        marker = head.get(b"trivet-why")
        if marker is None:
            return
        self._let_go(link, head)
        why = marker.decode("latin-1")
        self._count(why)
        raise refuse(why if why in REASONS else "app_error")

    def _let_go(self, link: SlotLink, head: ResponseHead) -> None:
        """The answer ends with the slot: its body came with the head, or the connection goes."""
        framing = body_framing(self._request.head.method, head)
        try:
            framing.feed(link.reader.take_rest())
        except HttpError:
            pass  # then it is not complete
        if framing.is_complete:
            let_go(link, head, framing)
        else:
            link.discard()

    def _extra(self, link: SlotLink) -> list[bytes]:
        """The lines only a slot of ours gets."""
        request = self._request
        extra = [b"\r\ntrivet-claim: %d %d %d" % (link.number, link.nonce, link.sent)]
        queued = request.record.queued
        if queued:
            extra.append(b"\r\ntrivet-queued: %d" % (queued * 1000))
        if self._route.slot_lines:
            extra.append(self._route.slot_lines)
        if request.user:
            extra.append(b"\r\ntrivet-user: " + request.user)
        if not request.body.is_complete:
            extra.append(b"\r\ntrivet-stream: 1")
        return extra
