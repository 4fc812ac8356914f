"""`pool: NAME`: the request's body is read, then a slot is claimed. Knows nothing of claims and slots."""

from __future__ import annotations

from trivet_common.http1.reasons import refuse

from ..dispatch.exchange import Exchange
from ..dispatch.pool import PoolDispatch
from ..dispatch.timing import TimedExchange
from ..request import Request
from ..router import Handler
from ..writer import ResponseWriter


def pool_handler(dispatch: PoolDispatch, is_timed: bool = False) -> Handler:
    """`is_timed`: the answer says how long it took."""
    exchange = TimedExchange if is_timed else Exchange

    async def ask_pool(request: Request, writer: ResponseWriter) -> None:
        route = request.route
        assert route is not None
        if request.head.upgrade is not None:
            raise refuse("upgrade", _way_out(request))
        if not route.stream and not request.body.is_complete:
            # A slot is worth more than a place in memory: nobody's slow upload holds one.
            await request.body.read_all(request.body.limit)
        await exchange(dispatch, request, writer).run()

    return ask_pool


def _way_out(request: Request) -> str:
    path = request.head.path.decode("utf-8", "replace")
    asked = (request.head.upgrade or b"").decode("latin-1")
    return (
        f"A pool runs WSGI, which cannot switch to {asked}: run an ASGI server, and write before this route "
        f'{{path: {path}, upstream: "http://127.0.0.1:8001"}}.'
    )
