"""What a route changes of a request on its way to the handler, and of every answer: composed at load.

A route that changes nothing keeps its handler as it is. Knows no handler.
"""

from __future__ import annotations

from trivet_common.config import Route

from .gates.headers import depends_on_request, request_headers_gate, response_headers_gate
from .gates.rewrite import rewrite_gate
from .route import Handler


def altered(route: Route, handler: Handler) -> Handler:
    """Headers first, with what the client asked; then its path."""
    if route.rewrite is not None or route.strip_prefix is not None:
        handler = rewrite_gate(route.strip_prefix, route.rewrite, handler)
    if route.request_headers:
        goes_on = route.pool is not None or route.upstream is not None
        handler = request_headers_gate(route.request_headers, handler, goes_on=goes_on)
    return handler


def shaped(route: Route, handler: Handler) -> Handler:
    """Outside of all gates: what they refuse has the route's headers too."""
    if depends_on_request(route.response_headers):
        return response_headers_gate(route.response_headers, route.hsts, handler)
    return handler


def looked_up_below(route: Route) -> bytes:
    """What of a path is no part of a file's name. A path that a route has made is one as it is."""
    is_made = route.rewrite is not None or route.strip_prefix is not None
    return b"/" if is_made else (route.path or "/").encode()
