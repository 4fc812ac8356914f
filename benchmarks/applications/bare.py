"""Plain WSGI, no framework: what a server costs shows best when the application costs nothing."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

HELLO = b"Hello, world!\n"
PIECE = b"x" * 65536
SLOW = 0.05  # seconds

Start = Callable[..., Any]


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/":
        return _say(start_response, HELLO)
    if path == "/post":
        return _say(start_response, b"%d\n" % sum(map(len, _pieces(environ["wsgi.input"]))))
    if path.startswith("/answer/"):
        return _answer(start_response, int(path.removeprefix("/answer/")))
    if path == "/slow":
        time.sleep(SLOW)
        return _say(start_response, HELLO)
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return []


def _say(start_response: Start, body: bytes) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _answer(start_response: Start, size: int) -> Iterator[bytes]:
    """In pieces of 64 KiB, as applications send what they read from somewhere."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size))])
    whole, rest = divmod(size, len(PIECE))
    for _ in range(whole):
        yield PIECE
    if rest:
        yield PIECE[:rest]


def _pieces(source: Any) -> Iterator[bytes]:
    while piece := source.read(65536):
        yield piece
