"""`strip_prefix` and `rewrite`: the path a handler is asked for in the place of the client's.

The result is judged as a client's own target is: nothing that is filled in can climb out of a folder. Logs,
later routes and placeholders keep what the client asked. Knows no handler.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, TypeAlias

from trivet_common.config.settings_rewrite import Rewrite
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead
from trivet_common.http1.target import decode_path, parse_target

from ..forwarded import believed_prefix
from ..locations import encode_path, one_slash
from ..regexes import compile_regex
from ..route import Handler
from ..templates import Template

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

_PREFIX = b"x-forwarded-prefix"
# Of a target that was filled in: an expression may repeat what the client sent.
_LONGEST = 64 * 1024

Change: TypeAlias = "Callable[[Request], None]"


def rewrite_gate(prefix: str | None, rewrite: Rewrite | None, inner: Handler) -> Handler:
    """The prefix goes first; the rest is rewritten then."""
    changes: list[Change] = []
    if prefix is not None:
        changes.append(_stripping(prefix.encode()))
    if rewrite is not None:
        changes.append(_rewriting(rewrite))

    async def change_path(request: Request, writer: ResponseWriter) -> None:
        before = request.head, request.hidden, request.added
        try:
            if request.head.path.startswith(b"/"):  # OPTIONS * has none
                for change in changes:
                    change(request)
            await inner(request, writer)
        finally:
            request.head, request.hidden, request.added = before

    return change_path


def _stripping(prefix: bytes) -> Change:
    in_uri = encode_path(prefix)

    def strip(request: Request) -> None:
        head = request.head
        if not _is_below(head.path, prefix):
            return
        # As the client has encoded it, where that can be: %2F in what follows stays what it is.
        raw = head.raw_path
        rest = raw[len(in_uri) :] if _is_below(raw, in_uri) else encode_path(head.path[len(prefix) :])
        _set_target(request, one_slash(rest), head.query)
        said = believed_prefix(request)
        request.hidden |= {_PREFIX}
        request.added = (*request.added, (_PREFIX, said + in_uri))

    return strip


def _rewriting(rewrite: Rewrite) -> Change:
    search = compile_regex(rewrite.regex) if rewrite.regex is not None else None
    template = Template(rewrite.to)
    has_query = "?" in rewrite.to or "uri" in template.names

    def change(request: Request) -> None:
        groups = request.groups
        if search is not None:
            found = search(request.head.path)
            if found is None:
                return
            request.groups = found.groups()
        try:
            target = template.fill(request)
        finally:
            request.groups = groups
        path, _, query = target.partition(b"?")
        _set_target(request, one_slash(path), query if has_query else request.head.query)

    return change


def _is_below(path: bytes, prefix: bytes) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/")


def _set_target(request: Request, path: bytes, query: bytes) -> None:
    """Raises HttpError as for a request line that holds such a target."""
    text = path + b"?" + query if query else path
    if len(text) > _LONGEST:
        raise refuse("bad_head:target_long", f"The rewritten target has {len(text)} bytes.")
    head: RequestHead = copy(request.head)
    target = parse_target(head.method, text)
    head.path = decode_path(target.raw_path)
    head.target, head.raw_path, head.query = target.text, target.raw_path, target.query
    request.head = head
