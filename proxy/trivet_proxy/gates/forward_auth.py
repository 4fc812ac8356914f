"""`forward_auth`: another service is asked whether a request may come in, as nginx, Traefik and Caddy do it.

Only a 2xx lets it pass. Its own refusal goes on to the client; a failure of the service never opens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trivet_common.config.settings_access import ForwardAuth
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead

from ..locations import encode_path, one_slash
from ..route import CompiledRoute, Handler
from ..stall import Stall
from ..templates import Template
from .subrequest import Answer, ask_for

if TYPE_CHECKING:
    from ..request import Request
    from ..shape import Headers
    from ..writer import ResponseWriter

_METHOD, _URI = b"x-forwarded-method", b"x-forwarded-uri"
_OURS = frozenset({_METHOD, _URI})
# By these names services and their proxies say who it is; the first that is copied is in the log, and is the
# REMOTE_USER of a pool.
_USERS = (b"remote-user", b"x-remote-user", b"x-forwarded-user", b"x-auth-request-user")
_NO_STORE = (b"cache-control", b"no-store")


def forward_auth_gate(settings: ForwardAuth, ask: Handler, inner: Handler) -> Handler:
    """`ask` is the handler of the upstream or pool that is asked."""
    return _Gate(settings, ask, inner).let_in


class _Gate:
    """One route's."""

    __slots__ = (
        "_ask",
        "_copied",
        "_host",
        "_inner",
        "_is_login_local",
        "_login",
        "_mark",
        "_route",
        "_settings",
        "_target",
    )

    def __init__(self, settings: ForwardAuth, ask: Handler, inner: Handler) -> None:
        self._settings = settings
        self._ask = ask
        self._inner = inner
        self._mark = ("forward_auth", settings)
        self._copied = frozenset(name.encode("ascii") for name in settings.copy)
        self._login = Template(settings.redirect) if settings.redirect else None
        self._is_login_local = (settings.redirect or "").startswith("/")
        self._target = settings.target.encode("ascii")
        self._host = settings.host.encode("ascii") if settings.host else None
        self._route = CompiledRoute(order=0, handler=ask, limits=None, timeout=settings.timeout)

    async def let_in(self, request: Request, writer: ResponseWriter) -> None:
        if self._mark not in request.passed:
            answer = await self._try_ask(request, writer)
            if not 200 <= answer.status < 300:
                return await self._turn_away(answer, request, writer)
            self._take(answer.headers, request)
            request.passed += (self._mark,)
        await self._inner(request, writer)

    async def _try_ask(self, request: Request, writer: ResponseWriter) -> Answer:
        """Its answer, good or not. Raises HttpError where there is none."""
        asked = ask_for(request, self._target, self._route, self._host)
        asked.hidden |= _OURS
        asked.added += ((_METHOD, request.asked.method), (_URI, _uri_of(request.asked)))
        stall = Stall(writer.wire, request.resources.deadlines)
        answer = Answer(writer.wire, stall, request.resources)
        try:
            with trio.move_on_after(self._settings.timeout):
                await self._ask(asked, answer)
        except HttpError as error:
            raise _as_failure(error) from None
        finally:
            stall.end()
            request.record.queued += asked.record.queued
        if not answer.finished:
            raise refuse("auth_timeout", f"It did not answer within {self._settings.timeout:g} s.")
        if answer.status >= 500 or answer.status == 304:
            raise refuse("auth_bad", f"It answered {answer.status}.")
        return answer

    async def _turn_away(self, answer: Answer, request: Request, writer: ResponseWriter) -> None:
        is_unknown = answer.status == 401
        request.record.why = "unauthorized" if is_unknown else "denied"
        if is_unknown and self._login is not None:
            location = self._login.fill(request)
            location = one_slash(location) if self._is_login_local else location
            await writer.send(302, [(b"location", location), _NO_STORE])
        else:
            await writer.send(answer.status, answer.headers, answer.content, answer.reason)

    def _take(self, headers: Headers, request: Request) -> None:
        """What it says of the client, in the place of what the client says: of all names, said or not."""
        if not self._copied:
            return
        copied = tuple(field for field in headers if field[0] in self._copied)
        kept = tuple(field for field in request.added if field[0] not in self._copied)
        request.hidden |= self._copied
        request.added = kept + copied
        said = dict(reversed(copied))
        request.user = next((said[name] for name in _USERS if said.get(name)), request.user)


def _uri_of(head: RequestHead) -> bytes:
    """The path that was matched, and not another spelling of it.

    A service that has rules for /private/ knows nothing of //private/ or /%70rivate/, which lead to the same
    files here (CVE-2021-32637).
    """
    if head.raw_path == head.path:
        return head.target
    path = encode_path(head.path)
    return path + b"?" + head.query if head.query else path


def _as_failure(error: HttpError) -> HttpError:
    """A client that has left is its own affair; everything else is the service's, and told as 502 or 503.

    But for a circle, which is neither's: it is written so.
    """
    if error.why in ("client_left", "upstream_loop") or error.status in (502, 503):
        return error
    if error.status == 504:
        return refuse("auth_timeout", error.detail)
    return refuse("auth_bad", error.detail) if error.source is not Source.CLIENT else error
