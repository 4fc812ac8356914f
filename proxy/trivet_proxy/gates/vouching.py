"""What `forward_auth` says of a client on one route, a client cannot say of itself on another.

An application believes Remote-User wherever it reads it: also behind the route that asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..route import Handler

if TYPE_CHECKING:
    from trivet_common.config.settings_access import Access

    from ..request import Request
    from ..writer import ResponseWriter

# These are the client's own, whoever else may write them.
_CREDENTIALS = frozenset({b"authorization", b"cookie"})


def vouched_names(accesses: Iterable[Access | None]) -> frozenset[bytes]:
    """Of all routes of a site."""
    names = {
        name.encode("ascii")
        for access in accesses
        if access is not None and access.forward_auth is not None
        for name in access.forward_auth.copy
    }
    return frozenset(names - _CREDENTIALS)


def vouching_gate(names: frozenset[bytes], inner: Handler) -> Handler:
    async def hide(request: Request, writer: ResponseWriter) -> None:
        if not request.client.is_trusted:
            request.hidden |= names
        await inner(request, writer)

    return hide
