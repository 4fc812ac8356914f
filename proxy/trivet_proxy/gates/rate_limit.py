"""`rate_limit`: 429 for who asks more often than that, counted over all proxy processes.

Owns what has a bucket of its own, and what is said about it. Knows no memory and no lock (buckets.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from trivet_common.config.settings_access import RateLimit
from trivet_common.http1.reasons import refuse

from ..buckets import Buckets, Draw
from ..hearsay import is_claim
from ..origin import origin_of
from ..route import Handler

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

_NS = 1_000_000_000
# A process that was stopped in the few microseconds in which it holds a lock is not waited for any longer.
_PAUSE, _PAUSES = 0.001, 50


def rate_gate(limits: Sequence[RateLimit], buckets: Buckets, inner: Handler) -> Handler:
    """A request counts where all of them let it pass, else nowhere."""
    rules = [_Rule(limit) for limit in limits]
    mark = ("rate_limit", tuple(limits))

    async def count(request: Request, writer: ResponseWriter) -> None:
        if mark not in request.passed:
            draws = [rule.draw(request, buckets) for rule in rules]
            if wait := await _take(buckets, draws):
                raise refuse("rate_limited", headers=_fields(rules, wait))
            request.passed += (mark,)
        await inner(request, writer)

    return count


async def _take(buckets: Buckets, draws: list[Draw]) -> int:
    """0, or nanoseconds to wait."""
    for _ in range(_PAUSES):
        wait = buckets.try_take(draws)
        if wait is not None:
            return wait
        await trio.sleep(_PAUSE)
    return buckets.try_take(draws, is_forced=True) or 0


class _Rule:
    """One limit, with what does not change about it."""

    __slots__ = ("_header", "_interval", "_is_claim", "_scope", "_tolerance", "policy")

    def __init__(self, limit: RateLimit) -> None:
        self._scope = limit.scope.encode("utf-8", "surrogateescape")
        self._header = limit.header.encode("ascii") if limit.header else None
        self._is_claim = self._header is not None and is_claim(self._header)
        self._interval = round(limit.period * _NS / limit.count)
        self._tolerance = self._interval * limit.burst
        # draft-ietf-httpapi-ratelimit-headers: a quota and its window in seconds.
        self.policy = b'"%s";q=%d;w=%d' % (
            (limit.header or "client").encode("ascii"),
            limit.count,
            max(round(limit.period), 1),
        )

    def draw(self, request: Request, buckets: Buckets) -> Draw:
        subject = self._subject(request)
        return Draw(buckets.key_of(self._scope, subject), self._interval, self._tolerance)

    def _subject(self, request: Request) -> bytes:
        """Who does not send the header shares one bucket: to leave it out is no way around."""
        if self._header is not None:
            if self._is_claim and not request.client.is_trusted:
                return b""  # whoever is not believed would have a new bucket with each request
            return b",".join(value for name, value in request.head.headers if name == self._header)
        return origin_of(request.client.address)


def _fields(rules: list[_Rule], wait: int) -> tuple[tuple[bytes, bytes], ...]:
    seconds = max(math.ceil(wait / _NS), 1)
    name = rules[0].policy.partition(b";")[0]
    return (
        (b"retry-after", b"%d" % seconds),
        (b"ratelimit-policy", b", ".join(rule.policy for rule in rules)),
        (b"ratelimit", b"%b;r=0;t=%d" % (name, seconds)),
    )
