"""What the access log is told of a request: its record, filled when the request is over.

Chooses the log. Knows no connection. What happened on the way (route, upstream, why, times) is there already.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING

from trivet_common.access_log import AccessRecord
from trivet_common.config.settings_log import RouteLog
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import REASONS
from trivet_common.http1.request import RequestHead

from .request import Request
from .writer import ResponseWriter

if TYPE_CHECKING:
    from .resources import Resources

_NOTED = frozenset({b"user-agent", b"referer", b"authorization"})

CLIENT_LEFT = REASONS["client_left"].status
# Overload is seen in the access log and status, an application error was told by its worker: said again,
# these would fill the error log with what is known.
SAID_ELSEWHERE = frozenset(
    {
        "queue_full", "queue_timeout", "draining", "overloaded", "pool_down", "app_error", "worker_twice",
        "maintenance", "intercepted",
    }
)  # fmt: skip


def log_line(log: RouteLog) -> Callable[[Request, ResponseWriter], None] | None:
    """Notes a request of a route with such a log; None: in the site's log, as most are."""
    if not log.is_on:
        return _note_nothing
    if log.file is None and not log.is_masked:
        return None
    file, is_masked = log.file, log.is_masked

    def write(request: Request, writer: ResponseWriter) -> None:
        target = request.resources.access_logs.of(file)
        if target is None:
            return
        record = note(request, writer)
        if is_masked:
            record.client = masked(record.client)
        target.write(record)

    return write


def note_apart(request: Request, writer: ResponseWriter) -> None:
    """As the route says; or what no route matched, as the site does."""
    route = request.route
    if route is not None and route.log_line is not None:
        return route.log_line(request, writer)
    log = request.resources.access_log
    if log is not None:
        record = note(request, writer)
        if request.resources.settings.log.is_masked:
            record.client = masked(record.client)
        log.write(record)


@lru_cache(maxsize=1024)
def masked(address: str) -> str:
    """The network it is in: as much of it as does not name a subscriber (IPv4 /24, IPv6 /48)."""
    try:
        return str(ip_network(f"{address}/{48 if ':' in address else 24}", strict=False).network_address)
    except ValueError:
        return ""  # of a Unix socket


def note(request: Request, writer: ResponseWriter) -> AccessRecord:
    """The complete record. A status set before means that the answer's never reached the client."""
    head, record = request.head, request.record
    record.client = request.client.address
    record.method = head.method.decode("latin-1")
    record.target = head.target.decode("latin-1")
    if head.is_http10:
        record.version = "HTTP/1.0"
    record.status = record.status or writer.status or CLIENT_LEFT
    record.sent = writer.sent
    record.host = head.host
    record.request_id = request.request_id
    found = head.found
    words: tuple[str, str, str] | None = found.get("noted") if found is not None else None
    if words is None:
        words = _words_of(head)
        if found is not None:
            found["noted"] = words
    record.referer, record.user_agent, record.user = words
    if request.user:
        record.user = request.user.decode("utf-8", "replace")
    return record


def _words_of(head: RequestHead) -> tuple[str, str, str]:
    """Referer, user agent and the name of Basic credentials."""
    referer = user_agent = user = ""
    for name, value in head.headers:
        if name not in _NOTED:
            continue
        if name == b"user-agent":
            user_agent = value.decode("latin-1")
        elif name == b"referer":
            referer = value.decode("latin-1")
        else:
            user = basic_user(value)
    return referer, user_agent, user


def note_loss(record: AccessRecord, writer: ResponseWriter, why: str) -> None:
    """The connection ended with `why` before the answer was out."""
    why = why if why in REASONS else "client_left"
    record.why = record.why or why
    if writer.take_back():
        record.status = REASONS[why].status


def note_unread(resources: Resources, error: HttpError, peer: str | None, request_id: str, sent: int) -> None:
    """What never became a request."""
    if resources.access_log is None:
        return
    record = AccessRecord()
    record.time = time.time()
    record.client = masked(peer or "") if resources.settings.log.is_masked else peer or ""
    record.request_id = request_id
    record.status, record.why, record.sent = error.status, error.why, sent
    resources.access_log.write(record)


def _note_nothing(request: Request, writer: ResponseWriter) -> None:
    """`log: off`"""


def basic_user(value: bytes) -> str:
    """The name of Basic credentials, believed or not, as other servers log it; "" for what is none."""
    scheme, _, credentials = value.partition(b" ")
    if scheme.lower() != b"basic" or len(credentials) > 1024:
        return ""
    try:
        name, _, _ = base64.b64decode(credentials, validate=True).partition(b":")
    except binascii.Error:
        return ""
    return name.decode("utf-8", "replace")
