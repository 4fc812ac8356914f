"""The answer a person gets when something went wrong: HTML if the client accepts it, else text.

Owns the wording for people. The detail of an error stays in the log: it may name files, peers and settings.
Knows no connection; HEAD and framing are the writer's.
"""

from __future__ import annotations

import html
from functools import lru_cache
from http import HTTPStatus

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import REASONS

from .page import HEADERS, page

Header = tuple[bytes, bytes]

# What happened and what to do, for somebody who has never heard of a proxy.
_FOR_PEOPLE = {
    400: "The browser sent a request that this server cannot understand.",
    401: "You need to log in to see this.",
    403: "You may not see this.",
    404: "There is nothing at this address. Check it for a typing mistake, or start from the home page.",
    405: "This address does not answer this kind of request.",
    408: "The request took too long to arrive. Please try again.",
    409: "The request came at the wrong moment. Please try again.",
    412: "What you wanted to see or change has been changed meanwhile. Please load it again.",
    413: "What you sent is larger than this site takes.",
    414: "The address is longer than this site takes.",
    416: "The part of the file that was asked for does not exist.",
    417: "The request expects something that this server does not do.",
    429: "Too many requests came from you. Please wait a moment and try again.",
    431: "The request carries more headers or cookies than this site takes. Deleting its cookies may help.",
    500: "Something went wrong on our side. It has been noted; please try again later.",
    501: "This server does not do what the request asks for.",
    502: "The application behind this site failed on your request. Please try again in a moment.",
    503: "This site is busy or being restarted. Please try again in a moment.",
    504: "The application behind this site took too long. Please try again in a moment.",
    505: "The browser speaks a version of HTTP that this server does not.",
    507: "This site has no room left for what you sent. Please try again later.",
    508: "This site asks itself in a circle. It has been noted; please try again later.",
}
_CLIENT_FAULT, _OUR_FAULT = "The request could not be answered.", "Something went wrong on our side."

_NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
_HTML_HEADERS: list[Header] = HEADERS
_TEXT_HEADERS: list[Header] = [(b"content-type", b"text/plain; charset=utf-8"), _NOSNIFF]
# RFC 9111, 4.2.2 lets caches keep a 404 by their own rule; this one may be gone in a second.
_NO_STORE: Header = (b"cache-control", b"no-store")

_STYLE = """\
body { min-height: 100vh; display: grid; place-items: center }
main { max-width: 34rem }
b { display: block; margin: 0 0 .6rem; color: var(--mark); font-size: 3.25rem; line-height: 1;
  letter-spacing: -.03em }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 1.6rem 0 0;
  padding-top: 1.1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem }
dd { margin: 0; font-family: ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere }"""
_CONTENT = """\
<b>{status}</b>
<h1>{phrase}</h1>
<p>{sentence}</p>
<dl><dt>Reason</dt><dd>{why}</dd><dt>Request</dt><dd>{cut}</dd></dl>"""
_TEXT = "{status} {phrase}\n\n{sentence}\n\n{meaning}reason: {why}\nrequest: {cut}\n"
_CUT = "\0"  # where the request id goes; no text of ours holds a NUL


def render(error: HttpError, request_id: str, accept: bytes | None) -> tuple[list[Header], bytes]:
    """Headers and body of the reply; the headers the error carries (Allow, Retry-After) are among them."""
    as_html = accept is not None and b"text/html" in accept.lower()
    before, after = _halves(error.status, error.why, as_html)
    shown = html.escape(request_id) if as_html else request_id
    headers = [*(_HTML_HEADERS if as_html else _TEXT_HEADERS), _NO_STORE, *error.headers]
    return headers, before + shown.encode("utf-8", "replace") + after


@lru_cache(maxsize=256)  # statuses times reasons times two; both come from tables
def _halves(status: int, why: str, as_html: bool) -> tuple[bytes, bytes]:
    phrase = _phrase(status)
    sentence = _FOR_PEOPLE.get(status, _CLIENT_FAULT if status < 500 else _OUR_FAULT)
    reason = REASONS.get(why)
    meaning = f"{reason.meaning}\n" if reason is not None else ""
    if as_html:
        shown = html.escape(phrase)
        content = _CONTENT.format(
            status=status, phrase=shown, sentence=sentence, why=html.escape(why), cut=_CUT
        )
        text = page(f"{status} {shown}", _STYLE, content)
    else:
        text = _TEXT.format(
            status=status, phrase=phrase, sentence=sentence, meaning=meaning, why=why, cut=_CUT
        )
    before, _, after = text.partition(_CUT)
    return before.encode(), after.encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
