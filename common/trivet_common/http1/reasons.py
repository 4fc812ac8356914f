"""Every `why=` there is: its status, whose fault it is, and what it means in one sentence.

The model is HAProxy's termination codes: an answer that is not the application's always names its reason.
Log, error pages and documentation read this table; nothing else invents a reason.
"""

from typing import NamedTuple

from .errors import Headers, HttpError, Source
from .grammar import ALLOWED_METHODS

_CLIENT, _UPSTREAM, _US = Source.CLIENT, Source.UPSTREAM, Source.US


class Reason(NamedTuple):
    status: int
    source: Source
    meaning: str


REASONS: dict[str, Reason] = {
    # The request line.
    "bad_head:blank_lines": Reason(400, _CLIENT, "More than one empty line came before the request line."),
    "bad_head:tls": Reason(400, _CLIENT, "A TLS handshake arrived on a port that speaks plain HTTP."),
    "bad_head:bare_lf": Reason(400, _CLIENT, "A line of the head ends in LF without CR."),
    "bad_head:bare_cr": Reason(400, _CLIENT, "A CR in the head is not followed by LF."),
    "bad_head:request_line": Reason(
        400, _CLIENT, "The request line is not method, target and version with one space between them."
    ),
    "bad_head:method": Reason(400, _CLIENT, "The method is not a token (RFC 9110, 9.1)."),
    "bad_head:protocol": Reason(400, _CLIENT, "The request line names a protocol other than HTTP."),
    "bad_head:version": Reason(505, _CLIENT, "Only HTTP/1.0 and HTTP/1.1 are spoken here."),
    "bad_head:target": Reason(400, _CLIENT, "The request target holds a character no URI has (RFC 3986, 3)."),
    "bad_head:target_form": Reason(
        400, _CLIENT, "The request target is neither a path nor an http or https URI (RFC 9112, 3.2)."
    ),
    "bad_head:target_escape": Reason(
        400, _CLIENT, "A % in the path is not followed by two hexadecimal digits."
    ),
    "bad_head:target_control": Reason(400, _CLIENT, "The path holds an encoded control character."),
    "bad_head:dot_segment": Reason(400, _CLIENT, "The path holds a . or .. segment, plain or encoded."),
    "bad_head:target_long": Reason(414, _CLIENT, "The request line is longer than limits.header_bytes."),
    "method": Reason(405, _CLIENT, "The method is not allowed for this resource."),
    "method_unknown": Reason(501, _CLIENT, "The method is not one this server knows."),
    # The fields.
    "bad_head:too_big": Reason(431, _CLIENT, "The head is longer than limits.header_bytes."),
    "bad_head:too_many": Reason(431, _CLIENT, "The head has more fields than limits.headers."),
    "bad_head:field_name": Reason(400, _CLIENT, "A field name is not a token (RFC 9110, 5.1)."),
    "bad_head:field_value": Reason(400, _CLIENT, "A field value holds a control character."),
    "bad_head:field_line": Reason(400, _CLIENT, "A line of the head has no colon."),
    "bad_head:colon_space": Reason(400, _CLIENT, "There is whitespace between a field name and its colon."),
    "bad_head:fold": Reason(400, _CLIENT, "A line of the head begins with whitespace (obsolete folding)."),
    "bad_head:host_missing": Reason(400, _CLIENT, "An HTTP/1.1 request must name its host."),
    "bad_head:host_twice": Reason(400, _CLIENT, "The head has more than one Host field."),
    "bad_head:host_bad": Reason(400, _CLIENT, "The host is not a name or address with an optional port."),
    "bad_head:host_mismatch": Reason(400, _CLIENT, "The request target and the Host field name two hosts."),
    "bad_head:length_bad": Reason(400, _CLIENT, "Content-Length is not a number of 1 to 19 digits."),
    "bad_head:length_twice": Reason(400, _CLIENT, "The head has more than one Content-Length field."),
    "bad_head:length_and_coding": Reason(
        400, _CLIENT, "The head has both Content-Length and Transfer-Encoding."
    ),
    "bad_head:coding": Reason(400, _CLIENT, "Transfer-Encoding is not exactly chunked."),
    "bad_head:coding_unknown": Reason(501, _CLIENT, "A transfer coding below chunked is not supported."),
    "bad_head:coding_http10": Reason(400, _CLIENT, "HTTP/1.0 has no Transfer-Encoding."),
    "bad_head:syntax": Reason(400, _CLIENT, "The head is not one of HTTP/1.1."),
    "plain_http": Reason(400, _CLIENT, "This port speaks https: ask again with https:// in the address."),
    "tls_flood": Reason(400, _CLIENT, "The client sent TLS messages one after the other, and no data."),
    "expectation": Reason(417, _CLIENT, "The only expectation there is, is 100-continue."),
    # The body.
    "bad_body:chunk_size": Reason(400, _CLIENT, "A chunk size is not 1 to 16 hexadecimal digits."),
    "bad_body:chunk_extension": Reason(
        400, _CLIENT, "A chunk extension breaks the grammar of RFC 9112, 7.1.1."
    ),
    "bad_body:chunk_end": Reason(400, _CLIENT, "The data of a chunk is not followed by CRLF."),
    "bad_body:chunk_overhead": Reason(
        400, _CLIENT, "The chunk lines are out of proportion to the data they carry."
    ),
    "bad_body:line_end": Reason(400, _CLIENT, "A line of the chunked body does not end in CRLF."),
    "bad_body:trailer": Reason(400, _CLIENT, "A trailer field is malformed or one that may not be there."),
    "bad_body:trailer_big": Reason(400, _CLIENT, "The trailer section is too large."),
    "bad_body:truncated": Reason(400, _CLIENT, "The connection ended before the body did."),
    "too_large": Reason(413, _CLIENT, "The body is larger than limits.body."),
    # Time and patience.
    "client_left": Reason(499, _CLIENT, "The client closed the connection before the answer was sent."),
    "header_timeout": Reason(408, _CLIENT, "The head did not arrive within limits.header_timeout."),
    "body_timeout": Reason(408, _CLIENT, "The body stopped arriving for limits.body_timeout."),
    "too_slow": Reason(408, _CLIENT, "The body arrived more slowly than limits.body_rate."),
    "write_timeout": Reason(499, _CLIENT, "The client stopped taking its answer for limits.write_timeout."),
    "slow_read": Reason(499, _CLIENT, "The client took its answer more slowly than limits.write_rate."),
    "idle_timeout": Reason(408, _CLIENT, "Nothing was asked for limits.idle_timeout."),
    # Routing and rights.
    "denied": Reason(403, _CLIENT, "The rules of this route do not let this client in."),
    "unauthorized": Reason(401, _CLIENT, "This route asks for a name and a password, or a login elsewhere."),
    "rate_limited": Reason(429, _CLIENT, "More requests came than the route's rate_limit allows."),
    "auth_unavailable": Reason(503, _US, "The password file of this route cannot be read."),
    "auth_busy": Reason(503, _US, "Too many passwords are being checked at this moment."),
    "auth_bad": Reason(502, _UPSTREAM, "Who forward_auth asks gave no answer that can be used."),
    "auth_timeout": Reason(503, _UPSTREAM, "Who forward_auth asks did not answer within its timeout."),
    "maintenance": Reason(503, _US, "The route is closed for maintenance: there is the file of its when:."),
    "no_route": Reason(404, _CLIENT, "No route matches this request."),
    "not_found": Reason(404, _CLIENT, "There is no such file."),
    "precondition": Reason(412, _CLIENT, "The file is not in the state that the request is conditional on."),
    "file_changed": Reason(500, _US, "The file became shorter while it was being sent."),
    "bad_range": Reason(416, _CLIENT, "None of the ranges asked for lies in the file."),
    # The pool and upstreams.
    "queue_full": Reason(503, _US, "Every slot is busy and the queue is full."),
    "queue_timeout": Reason(503, _US, "No slot became idle within the queue's timeout."),
    "deadline": Reason(504, _UPSTREAM, "The application did not answer within its timeout."),
    "worker_died": Reason(502, _UPSTREAM, "The worker died while it ran this request."),
    "worker_twice": Reason(502, _UPSTREAM, "Two workers died while they ran this request."),
    "app_error": Reason(500, _UPSTREAM, "The application failed; the error log has the traceback."),
    "pool_down": Reason(503, _US, "The pool has no worker that could take this request."),
    "upstream_unknown": Reason(503, _US, "No name of the upstream's servers resolves."),
    "upstream_refused": Reason(502, _UPSTREAM, "No connection to the upstream could be made."),
    "upstream_timeout": Reason(504, _UPSTREAM, "The upstream did not answer in time."),
    "upstream_bad": Reason(502, _UPSTREAM, "The upstream's answer was malformed or cut short."),
    "upstream_loop": Reason(508, _US, "The upstream leads back to this server, again and again."),
    "intercepted": Reason(
        502, _UPSTREAM, "The answer is in the place of the application's own, as errors: says."
    ),
    "upgrade": Reason(
        501, _US, "A pool runs WSGI, which cannot switch protocols: route this to an upstream."
    ),
    "tunnel_timeout": Reason(408, _CLIENT, "Nothing went through the tunnel for tunnel_timeout."),
    # Ourselves.
    "spool_full": Reason(507, _US, "There is no room left to hold this body."),
    "draining": Reason(503, _US, "The server is stopping."),
    "overloaded": Reason(503, _US, "The server has as many connections as limits.connections allows."),
    "no_descriptors": Reason(503, _US, "The server had no file descriptor left for this answer."),
    "disk_slow": Reason(503, _US, "The disk did not give the file within 30 seconds."),
    "per_client": Reason(
        503, _CLIENT, "This address has as many connections as limits.connections_per_client allows."
    ),
    "internal": Reason(500, _US, "The server failed; the error log says how."),
}


def refuse(why: str, detail: str = "", *, retry: bool = False, headers: Headers = ()) -> HttpError:
    """The error for a reason of the table; `detail` says it more exactly than the table can."""
    reason = REASONS[why]
    if why == "method" and not headers:
        headers = ((b"allow", ALLOWED_METHODS),)  # RFC 9110, 15.5.6: a 405 must name what is allowed
    return HttpError(
        reason.status, why, reason.source, detail or reason.meaning, retry=retry, headers=headers
    )
