"""llhttp as a knife: cuts a complete head into fields. The judgement is ours.

It is given heads and never bodies, so its Upgrade hole (a declared body is skipped and its bytes are parsed
as the next request) has nothing to skip.
"""

from collections.abc import Callable

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

Field = tuple[bytes, bytes]

OWS = b" \t"  # RFC 9110, 5.6.3


def cut_request(head: bytes) -> list[Field]:
    """Names lowered, values stripped; none at all when llhttp refuses: fields and lines then do not tally."""
    return _cut(HttpRequestParser, head)


def cut_response(head: bytes) -> list[Field]:
    """The same for the head of a response."""
    return _cut(HttpResponseParser, head)


class _Cut:
    """What llhttp calls back. It looks up every callback by name, and finds None faster than nothing."""

    __slots__ = ("fields", "is_complete")

    on_message_begin = on_url = on_body = on_message_complete = None
    on_chunk_header = on_chunk_complete = on_status = None

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(OWS)))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def _cut(parser: Callable[[_Cut], HttpRequestParser | HttpResponseParser], head: bytes) -> list[Field]:
    cut = _Cut()
    try:
        parser(cut).feed_data(head)
    except (HttpParserError, HttpParserUpgrade):
        pass  # after the last field it only says that it would not read the body
    return cut.fields if cut.is_complete else []
