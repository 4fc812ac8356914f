"""What the access log is told of a request: its record, filled when the request is over.

Knows no connection and no file. What happened on the way (route, upstream, why, times) is there already.
"""

import base64
import binascii
import time

from trivet_common.access_log import AccessRecord
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import REASONS

from .request import Request
from .writer import ResponseWriter

_NOTED = frozenset({b"user-agent", b"referer", b"authorization"})

CLIENT_LEFT = REASONS["client_left"].status
# Overload is seen in the access log and status, an application error was told by its worker: said again,
# these would fill the error log with what is known.
SAID_ELSEWHERE = frozenset(
    {"queue_full", "queue_timeout", "draining", "overloaded", "pool_down", "app_error", "worker_twice"}
)


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
    for name, value in head.headers:
        if name not in _NOTED:
            continue
        if name == b"user-agent":
            record.user_agent = value.decode("latin-1")
        elif name == b"referer":
            record.referer = value.decode("latin-1")
        elif not request.user:
            record.user = basic_user(value)
    if request.user:
        record.user = request.user.decode("utf-8", "replace")
    return record


def note_loss(record: AccessRecord, writer: ResponseWriter, why: str) -> None:
    """The connection ended with `why` before the answer was out."""
    why = why if why in REASONS else "client_left"
    record.why = record.why or why
    if writer.take_back():
        record.status = REASONS[why].status


def note_unread(error: HttpError, peer: str | None, request_id: str, sent: int) -> AccessRecord:
    """For what never became a request."""
    record = AccessRecord()
    record.time = time.time()
    record.client = peer or ""
    record.request_id = request_id
    record.status, record.why, record.sent = error.status, error.why, sent
    return record


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
