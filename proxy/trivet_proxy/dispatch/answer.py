"""An upstream's answer on its way to the client: read, sieved, passed on as it comes.

Owns what becomes of an answer that is early, late, short, long or doubled. Knows no claim and no server; the
link is let go the moment the body is complete, before a slow client has taken all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import Body, NoBody, UntilClose
from trivet_common.http1.reasons import refuse
from trivet_common.http1.response import ResponseHead, body_framing

from ..forwarded import ResponseSieve, response_headers_for_client, sieved
from ..orders import Order, read_order, without_orders
from ..shape import Headers, ready_head
from ..wire import WireClosed
from .link import Link
from .trailers import announced, last_chunk_for, wants_trailers

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

# More than any server sends (100, 103, a few 102), less than an endless stream of them.
_MOST_INTERIM = 16
_PHRASES = {int(status): status.phrase.encode("ascii") for status in HTTPStatus}


async def receive_head(
    link: Link, is_last: Callable[[ResponseHead], bool] | None = None
) -> ResponseHead | None:
    """The head of the final answer; None when the other side ended without one.

    `is_last` is shown each head before it (1xx), and says whether it is the last of HTTP: a 101 asked for.

    Raises WireClosed when our side closed the wire (its clock, the sweep), HttpError upstream_bad for what is
    no answer.
    """
    wire, reader = link.wire, link.reader
    interim = 0
    # We have only just sent: trying to receive first would nearly always be a wasted system call.
    await wire.wait_until_readable()
    data = await wire.receive()
    while data:
        head = reader.feed(data)
        if head is not None:
            if head.status >= 200 or (is_last is not None and is_last(head)):
                return head
            interim += 1
            if head.status == 101:
                raise refuse("upstream_bad", "The upstream answered 101, which nobody asked for.")
            if interim > _MOST_INTERIM:
                raise refuse("upstream_bad", "The upstream sent interim answers (1xx) without end.")
            data = reader.take_rest()
            if data:
                continue
        data = await wire.receive()
    return None


async def relay(
    link: Link,
    head: ResponseHead,
    request: Request,
    writer: ResponseWriter,
    sieve: ResponseSieve,
    seconds: float | None,
) -> str | None:
    """Pass the answer on and let go of `link`. `seconds`: how long the upstream may pause within the body.

    Raises HttpError while nothing went to the client. What is cut short afterwards is noted in the record,
    and why is returned.
    """
    try:
        framing = body_framing(request.head.method, head)
        rest = link.reader.take_rest()
        piece = framing.feed(rest) if rest else b""
        order = _order_in(head, request, sieve)
        headers = response_headers_for_client(head, sieve) if order is None else ()
        has_trailers = head.chunked and wants_trailers(request.head)
        if has_trailers:
            headers = [*headers, *announced(head, sieve)]
    except BaseException:
        link.discard()
        raise
    if order is not None:
        # The slot is free at once, whatever else its application was about to say.
        if framing.is_complete:
            let_go(link, head, framing)
        else:
            link.discard()
        request.order = order
        return None
    reason = head.reason if head.reason != _PHRASES.get(head.status) else None
    if framing.is_complete:
        # Not ours any more: another request may have the link while the client takes its time.
        let_go(link, head, framing)
        if not isinstance(framing, NoBody) and not has_trailers:
            ready = _ready_head(head, headers, reason) if writer.shape is None else b""
            if ready:
                await writer.send_ready(headers, ready, piece)
            else:
                await writer.send(head.status, headers, piece, reason)
            return None
        writer.start(head.status, reason, headers, head.content_length)
        writer.write(piece)
    else:
        try:
            writer.start(head.status, reason, headers, head.content_length)
            writer.write(piece)
            del rest, piece  # as in _pass_on: they need not be here as long as all the others come
            why = await _try_pass_on(link, framing, request, writer, seconds)
        except BaseException:
            link.discard()
            raise
        if why is not None:
            return why
        let_go(link, head, framing)
    if has_trailers:
        writer.last_chunk = last_chunk_for(framing.trailers, head, sieve)
    await writer.finish()
    return None


def _order_in(head: ResponseHead, request: Request, sieve: ResponseSieve) -> Order | None:
    """The application's order to send a file in the place of its answer, where the site has such files."""
    if request.route is None or not request.route.obeys or not 200 <= head.status < 300:
        return None
    order = read_order(head.headers)
    if order is not None:
        order.take_headers(sieved(without_orders(head.headers), head, sieve))
    return order


def _ready_head(head: ResponseHead, headers: Headers, reason: bytes | None) -> bytes:
    """What `send_ready` takes, of a 200 that is expected to come again; b"" where there is none."""
    found = head.found
    if found is None:
        return b""
    ready: bytes | None = found.get("ready")
    if ready is None:
        length = head.content_length
        is_plain = head.status == 200 and reason is None and all(name != b"date" for name, _ in headers)
        ready = found["ready"] = ready_head(headers, length) if is_plain and length is not None else b""
    return ready


def let_go(link: Link, head: ResponseHead, framing: Body) -> None:
    """Keep the link only if nothing but the next request's own answer can come on it."""
    if head.keep_alive and not framing.rest and not link.is_sending and not isinstance(framing, UntilClose):
        link.release()
    else:
        link.discard()


async def _try_pass_on(
    link: Link,
    framing: Body,
    request: Request,
    writer: ResponseWriter,
    seconds: float | None,
) -> str | None:
    """The rest of the body, as it comes; why it was cut short, and the client's connection with it."""
    try:
        await _pass_on(link, framing, writer, seconds)
    except WireClosed as closed:
        if link.wire.ended_by is None:
            raise  # it is the client that has gone
        why = closed.why
    except HttpError as error:
        why = error.why
    else:
        return None
    link.discard(why)
    if writer.take_back():
        raise refuse(why)
    request.record.why = why
    writer.close_without_end()
    return why


async def _pass_on(link: Link, framing: Body, writer: ResponseWriter, seconds: float | None) -> None:
    wire = link.wire
    link.start_clock(seconds)
    while not framing.is_complete:
        if not writer.has_room:
            link.pause_clock()
            try:
                await writer.wait(None)
            finally:
                link.resume_clock(seconds)
        data = wire.try_receive()
        if data is None:
            await writer.wait(wire)
            continue
        link.start_clock(seconds)
        if not data:
            _end(link, framing)
            return
        piece = framing.feed(data)
        if piece:
            writer.write(piece)
        del data, piece  # they need not be here as long as the client takes its time
        await wire.give_way()  # an upstream that is always ready would starve everybody else


def _end(link: Link, framing: Body) -> None:
    """The other side sent its last byte: the end of a body that has no other, else too early."""
    wire = link.wire
    if not isinstance(framing, UntilClose) or wire.was_reset:
        raise refuse(link.why_cut, "The answer was cut short.")
    framing.eof()
