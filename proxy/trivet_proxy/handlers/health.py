"""`health: ready` and `health: live`, answered without a slot.

Ready: every pool has a slot that takes requests, by its boards, and this process is not leaving. Live: the
loops turn, ours and the masters'. Believes boards no further than to count rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trivet_common.http1.reasons import refuse
from trivet_common.pool.board import BoardError, SlotState, read_board
from trivet_common.pool.places import PoolPlaces

from ..router import Handler

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

# Load balancers ask from many places at once; boards change at the pace of workers that start.
_KEEP = 0.25  # seconds

_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_METHODS = frozenset({b"GET", b"HEAD"})
_ALLOW = ((b"allow", b"GET, HEAD"),)


class Readiness:
    """How many slots of each pool take requests, looked up at most four times a second."""

    __slots__ = ("_clock", "_counted_at", "_live", "_pools")

    def __init__(self, pools: Mapping[str, PoolPlaces], clock: Callable[[], float] = time.monotonic) -> None:
        self._pools = pools
        self._clock = clock
        self._counted_at = -_KEEP
        self._live: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Readiness {self._live}>"

    def live_slots(self) -> dict[str, int]:
        now = self._clock()
        if now - self._counted_at >= _KEEP:
            self._live = {name: _count_live(places) for name, places in self._pools.items()}
            self._counted_at = now
        return self._live


def ready_handler(readiness: Readiness, is_draining: Callable[[], bool]) -> Handler:
    async def answer_ready(request: Request, writer: ResponseWriter) -> None:
        _judge_method(request)
        slots = readiness.live_slots()
        state = "draining" if is_draining() else "ready" if all(slots.values()) else "starting"
        status = 200 if state == "ready" else 503
        await writer.send(status, _HEADERS, _json({"status": state, "slots": slots}))

    return answer_ready


def live_handler(is_alive: Callable[[], bool]) -> Handler:
    """`is_alive`: do the masters' loops turn? This process's does if it answers at all."""

    async def answer_live(request: Request, writer: ResponseWriter) -> None:
        _judge_method(request)
        state = "live" if is_alive() else "stuck"
        await writer.send(200 if state == "live" else 503, _HEADERS, _json({"status": state}))

    return answer_live


def _judge_method(request: Request) -> None:
    if request.head.method not in _METHODS:
        raise refuse("method", headers=_ALLOW)


def _count_live(places: PoolPlaces) -> int:
    """Slots that have become idle once and do not retire; a board that cannot be read has none."""
    live = 0
    for incarnation in places.incarnations():
        try:
            board = read_board(places.board(incarnation))
        except (OSError, BoardError):
            continue  # unlinked since it was listed, or not a board at all
        live += sum(SlotState.STARTING < slot.state < SlotState.RETIRING for slot in board.slots)
    return live


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
