"""One response of PEP 3333, on a link that remembers what was sent."""

import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from tests.backend.fakes import FakeLink, FakeLog, request_head
from trivet_backend.answer import answer
from trivet_backend.input import BodyLost
from trivet_backend.response import ClientLeft, Response

TEXT = ("Content-Type", "text/plain")


class Ran:
    """An application that was run: what it sent, logged and left behind."""

    def __init__(
        self,
        application: Any,
        *,
        method: str = "GET",
        version: str = "1.1",
        is_claimed: bool = True,
        leaves_after: int | None = None,
    ) -> None:
        self.link, self.log = FakeLink(leaves_after), FakeLog()
        head = request_head("/page", method=method, version=version)
        keep = head.keep_alive
        self.response = Response(self.link, self.log, head, "id-7", keep, is_claimed)
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ.update(REQUEST_METHOD=method, QUERY_STRING="")
        answer(application, environ, self.response)

    @property
    def head(self) -> str:
        return self.link.head.decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.link.body

    @property
    def error(self) -> str:
        return "\n".join(self.log.errors)


class Closing:
    """An iterable that counts its close()."""

    def __init__(self, *pieces: Any) -> None:
        self.pieces = pieces
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed += 1


def says(
    *pieces: Any,
    status: str = "200 OK",
    headers: tuple[tuple[str, str], ...] = (TEXT,),
    as_list: bool = False,
) -> Any:
    iterable: Any = list(pieces) if as_list else Closing(*pieces)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, list(headers))
        return iterable

    application.iterable = iterable  # type: ignore[attr-defined]
    return application


# ------------------------------------------------------------ bodies and their framing


def test_a_list_of_one_has_a_length_and_goes_out_in_one_send() -> None:
    ran = Ran(says(b"hello", as_list=True))
    assert ran.link.sends == [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
    ]
    assert ran.response.keep


def test_an_iterable_is_chunked_and_each_piece_is_sent_at_once() -> None:
    ran = Ran(says(b"one", b"", b"two"))
    assert ran.link.sends[0].endswith(b"\r\n\r\n3\r\none\r\n")
    assert ran.link.sends[1:] == [b"3\r\ntwo\r\n", b"0\r\n\r\n"]
    assert "transfer-encoding: chunked" in ran.head


def test_a_length_that_the_application_gives_is_kept() -> None:
    ran = Ran(says(b"one", b"two", headers=(TEXT, ("Content-Length", "6"))))
    assert ran.body == b"onetwo"
    assert "content-length: 6" in ran.head
    assert "chunked" not in ran.head


def test_http_1_0_ends_with_the_connection() -> None:
    ran = Ran(says(b"one", b"two"), version="1.0")
    assert ran.body == b"onetwo"
    assert "connection: close" in ran.head
    assert not ran.response.keep


def test_nothing_at_all_is_a_body_of_length_zero() -> None:
    assert "content-length: 0" in Ran(says()).head
    assert "content-length: 0" in Ran(says(as_list=True)).head


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_where_there_can_be_none(status: str) -> None:
    for as_list in (True, False):
        ran = Ran(says(b"oops", status=status, as_list=as_list))
        assert ran.body == b""
        assert "chunked" not in ran.head
        assert "content-length" not in ran.head
        assert ran.response.keep


def test_head_has_the_head_only_and_stops_an_endless_body() -> None:
    def endless(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        while True:
            yield b"x"

    ran = Ran(endless, method="HEAD")
    assert ran.body == b""
    assert ran.response.keep
    assert "content-length: 5" in Ran(says(b"hello", as_list=True), method="HEAD").head
    assert "content-length: 9" in Ran(says(headers=(("Content-Length", "9"),)), method="HEAD").head


def test_the_write_callable() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"one")
        write(b"two")
        return [b"three"]

    ran = Ran(application)
    assert ran.body == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"
    assert len(ran.link.sends) == 4


def test_the_head_waits_for_the_first_piece() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b""
        try:
            raise ValueError("late")
        except ValueError:
            start_response("500 Oops", [TEXT], sys.exc_info())
        yield b"sorry"

    ran = Ran(application)
    assert ran.head.startswith("HTTP/1.1 500 Oops\r\n")
    assert ran.body == b"5\r\nsorry\r\n0\r\n\r\n"


def test_start_response_at_the_first_iteration() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"x"

    assert Ran(application).body == b"1\r\nx\r\n0\r\n\r\n"


def test_a_request_without_a_claim_gets_a_date() -> None:
    assert "\r\ndate: " in Ran(says(b"x", as_list=True), is_claimed=False).head
    own = Ran(says(b"x", headers=(("Date", "then"),), as_list=True), is_claimed=False)
    assert own.head.count("date: ") == 1


# ------------------------------------------------------------ lies about the length


def test_more_than_the_length_is_cut_and_the_connection_closed() -> None:
    application = says(b"one", b"two", b"three", headers=(("Content-Length", "4"),))
    ran = Ran(application)
    assert ran.body == b"onet"
    assert not ran.response.keep
    assert "more than its Content-Length" in ran.error
    assert application.iterable.closed == 1


def test_less_than_the_length_ends_without_an_end() -> None:
    ran = Ran(says(b"one", headers=(("Content-Length", "10"),)))
    assert ran.body == b"one"
    assert not ran.response.keep
    assert ran.response.is_broken
    assert "7 bytes less" in ran.error
    assert "GET /page id-7" in ran.error


# ------------------------------------------------------------ failures


def failing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    raise RuntimeError("no database")


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_failure_before_the_head_is_a_500(error: BaseException) -> None:
    application = says(error)
    ran = Ran(application)
    assert ran.head.startswith("HTTP/1.1 500 ")
    assert "trivet-why: app_error" in ran.head
    assert ran.response.keep
    assert type(error).__name__ in ran.error
    assert application.iterable.closed == 1


def test_the_mark_is_for_our_proxy_only() -> None:
    assert "trivet-why" not in Ran(failing, is_claimed=False).head


def test_the_logged_trace_begins_in_the_application() -> None:
    lines = Ran(failing).error.splitlines()
    assert lines[0] == "GET /page id-7: Traceback (most recent call last):"
    assert "test_response.py" in lines[1]


def test_a_failure_after_the_head_cuts_the_connection() -> None:
    application = says(b"one", RuntimeError("late"))
    ran = Ran(application)
    assert ran.body == b"3\r\none\r\n"  # no last chunk
    assert not ran.response.keep
    assert ran.response.is_broken
    assert "late" in ran.error
    assert application.iterable.closed == 1


def test_exc_info_after_the_head_is_raised_again() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"one"
        try:
            raise ValueError("the cause")
        except ValueError:
            start_response("500 Oops", [TEXT], sys.exc_info())
        yield b"never"

    ran = Ran(application)
    assert ran.body == b"3\r\none\r\n"
    assert "ValueError: the cause" in ran.error


def test_a_close_that_fails_is_logged() -> None:
    class Bad(Closing):
        def close(self) -> None:
            raise OSError("cannot close")

    def application(environ: dict[str, Any], start_response: Any) -> Closing:
        start_response("200 OK", [TEXT])
        return Bad(b"x")

    ran = Ran(application)
    assert ran.body == b"1\r\nx\r\n0\r\n\r\n"
    assert "cannot close" in ran.error


def test_a_client_that_left_ends_the_iteration_and_is_no_error() -> None:
    application = says(b"one", b"two", b"three")
    ran = Ran(application, leaves_after=1)
    assert application.iterable.closed == 1
    assert ran.log.errors == []
    assert "client_left" in ran.log.debugs[0]
    assert not ran.response.keep


def test_a_request_body_that_broke_off_is_no_error_of_the_application() -> None:
    ran = Ran(says(BodyLost(32, "the client left")))
    assert ran.log.errors == []
    assert ran.link.sends == []
    assert not ran.response.keep


# ------------------------------------------------------------ what breaks the rules


def starts(*args: Any) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(*args)
        return [b"x"]

    return application


def twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


BROKEN = {
    "status of another type": (starts(200, []), "the status must be a str"),
    "status without digits": (starts("OK", []), "not three digits"),
    "status interim": (starts("100 Continue", []), "not three digits"),
    "status with a newline": (starts("200 OK\r\nx: y", []), "not three digits"),
    "name of another type": (starts("200 OK", [(b"x", "y")]), "a header name must be a str"),
    "name with a space": (starts("200 OK", [("x y", "z")]), "not a header name"),
    "name with a newline": (starts("200 OK", [("x\r\ny", "z")]), "not a header name"),
    "empty name": (starts("200 OK", [("", "z")]), "not a header name"),
    "value of another type": (starts("200 OK", [("x", 1)]), "the value of x must be a str"),
    "value with CR LF": (starts("200 OK", [("x", "a\r\nset-cookie: b")]), "response splitting"),
    "value with LF": (starts("200 OK", [("x", "a\nb")]), "response splitting"),
    "value with NUL": (starts("200 OK", [("x", "a\0b")]), "control character"),
    "value beyond latin-1": (starts("200 OK", [("x", "\u20ac")]), "not latin-1"),
    "hop by hop": (starts("200 OK", [("Upgrade", "websocket")]), "hop-by-hop"),
    "left out, but not a way in": (starts("200 OK", [("Connection", "a\r\nb: c")]), "response splitting"),
    "transfer-encoding": (starts("200 OK", [("Transfer-Encoding", "chunked")]), "hop-by-hop"),
    "ours": (starts("200 OK", [("Trivet-Why", "x")]), "names beginning with trivet-"),
    "length no number": (starts("200 OK", [("Content-Length", "1_0")]), "not a number"),
    "length of another type": (starts("200 OK", [("Content-Length", 1)]), "not a number"),
    "length twice": (
        starts("200 OK", [("Content-Length", "1"), ("content-length", "1")]),
        "two Content-Length",
    ),
    "started twice": (twice, "called twice"),
    "not started": (lambda environ, start_response: [b"x"], "before it called start_response"),
    "not started, nothing said": (lambda environ, start_response: [], "before it called start_response"),
    "text instead of bytes": (says("text", as_list=True), "must be bytes, not str"),
    "text from a generator": (says("text"), "must be bytes, not str"),
    "none": (lambda environ, start_response: start_response("200 OK", []) and None, "returned None"),
}


@pytest.mark.parametrize("name", ["Connection", "connection", "Keep-Alive"])
def test_what_every_event_stream_example_sets_is_left_out(name: str) -> None:
    ran = Ran(starts("200 OK", [(name, "keep-alive"), ("X-Other", "stays")]))
    assert ran.head.startswith("HTTP/1.1 200 ")
    assert "x-other: stays" in ran.head
    assert "keep-alive" not in ran.head
    assert ran.error == ""


@pytest.mark.parametrize("case", BROKEN)
def test_what_breaks_the_rules_is_a_500_and_explained(case: str) -> None:
    application, text = BROKEN[case]
    ran = Ran(application)
    assert ran.head.startswith("HTTP/1.1 500 ")
    assert text in ran.error
    assert ran.response.keep
    assert b"set-cookie" not in ran.link.bytes


def test_latin_1_and_tabs_are_allowed() -> None:
    ran = Ran(starts("200 OK", [("x", "caf\xe9\tau lait")]))
    assert "x: caf\xe9\tau lait" in ran.head


# ------------------------------------------------------------ by the standard library's own judge


def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"plain"]


def writing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])(b"written")
    return [b"returned"]


@pytest.mark.parametrize("application", [plain, writing, says(b"one", b"two")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_wsgiref_finds_nothing(application: Any, method: str) -> None:
    ran = Ran(validator(application), method=method)
    assert ran.log.errors == []
    assert ran.head.startswith("HTTP/1.1 200 OK")


def test_nothing_is_written_into_the_next_answer() -> None:
    """An application's thread that goes on after its request is over."""
    kept: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kept.append(start_response("200 OK", []))
        return [b"whole"]

    ran = Ran(application)
    before = ran.link.bytes
    with pytest.raises(ClientLeft):
        kept[0](b"late")
    assert ran.link.bytes == before
