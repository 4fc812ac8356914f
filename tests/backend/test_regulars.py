"""What is remembered of a client says what its head says; bounded, and nobody's environ is another's."""

import io
import sys
import threading
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trivet_backend.environ import OUR_PROXY, EnvironBuilder
from trivet_backend.file_wrapper import FileWrapper
from trivet_backend.proxys_head import ClaimedHead, ProxysHeads, RegularsHead, parse_strangers
from trivet_backend.regulars import GENERATION, LONGEST
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.errors import HttpError
from trivet_common.http1.request import RequestHead

LIMITS = HeadLimits()
BODY = object()
ERRORS = io.StringIO()
STEADY = (
    b"\r\nhost: shop.example:8000\r\nuser-agent: Mozilla/5.0\r\ncookie: a=b\r\nx-forwarded-proto: https"
    b"\r\nx-forwarded-port: 8000\r\nx-forwarded-for: 203.0.113.9, 10.0.0.2\r\nx-real-ip: 203.0.113.9"
    b"\r\nx-forwarded-host: shop.example:8000"
)


def builder() -> EnvironBuilder:
    return EnvironBuilder(
        errors=ERRORS,
        threads=1,
        workers=1,
        file_wrapper=FileWrapper,
        is_proxy=lambda address: address is not None and address.startswith("10."),
    )


def request(
    steady: bytes = STEADY, line: bytes = b"GET /", request_id: bytes = b"1f", tail: bytes = b""
) -> bytes:
    varying = b"\r\nx-request-id: " + request_id + b"\r\ntrivet-claim: 7 8 9" + tail + b"\r\n\r\n"
    return line + b" HTTP/1.1" + steady + varying


def environ_of(environs: EnvironBuilder, head: bytes) -> dict[str, Any]:
    parsed = ProxysHeads(environs.regulars).parse(head, LIMITS)
    assert isinstance(parsed, RegularsHead)
    return environs.build(parsed, OUR_PROXY, BODY, parsed.request_id.decode())


# ------------------------------------------------------------ what is remembered is what was said

NAMES = [
    b"host", b"accept", b"cookie", b"content-type", b"content-length", b"transfer-encoding", b"x-request-id",
    b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-host", b"x-real-ip", b"x_y",
    b"X-Request-Id", b"Content-Length", b"CONTENT-LENGTH", b"forwarded", b"proxy", b"te", b"connection",
    b"trailer", b"keep-alive", b"trivet-claim", b"trivet-queued", b"trivet-user", b"trivet-mount", b"x-\xe4",
    b"trivet-takes", b"trivet-timeout", b"trivet-stream", b"trivet-other", b"authorization", b"Trivet-User",
]  # fmt: skip
VALUES = [
    b"", b"1", b"0", b"007", b"12", b"a, b", b"a: b", b"chunked", b"https", b"http", b"8000", b"a.example:81",
    b"[::1]:80", b"[::1]", b"203.0.113.9", b"203.0.113.9, 10.0.0.2", b"10.0.0.2,", b"<x>, 10.0.0.1", b"\xe4",
    b"7 8 9", b"7 8", b"99999999999999999999 1 1", b"/shop", b"/shop/", b"file", b"a\rb", b"a\nb",
]  # fmt: skip
LINES = [
    b"GET /", b"GET /shop", b"POST /shop/a?b=c", b"GET //shop//x?", b"GET /a%2Fb%e4??", b"GET /%zz",
    b"OPTIONS *", b"get /", b"GET /\xe4", b"GET  /", b"GET /../x", b"HEAD /#", b"GET /a?\x7f",
]  # fmt: skip
LINE = st.sampled_from(LINES)
FIELD = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).map(lambda field: b"\r\n%b: %b" % field)
FIELDS = st.lists(FIELD, max_size=6).map(b"".join)
USUAL = st.lists(
    st.sampled_from(
        [
            b"\r\naccept: a", b"\r\naccept: b", b"\r\ncookie: x=1", b"\r\ncookie: y=2",
            b"\r\ncontent-type: t", b"\r\nhost: b:81", b"\r\nx-forwarded-proto: https",
            b"\r\nx-forwarded-port: 444", b"\r\nx-forwarded-for: 203.0.113.9, 10.0.0.2",
            b"\r\nx-real-ip: 203.0.113.9", b"\r\nx-real-ip: no", b"\r\ntrivet-user: eve",
        ]
    ),
    max_size=8,
).map(b"".join)  # fmt: skip
FRAMING = st.sampled_from(
    [b"", b"", b"\r\ncontent-length: 0", b"\r\ncontent-length: 12", b"\r\ntransfer-encoding: chunked"]
)
QUEUED = st.sampled_from([b"", b"\r\ntrivet-queued: 0", b"\r\ntrivet-queued: 1500"])
TAIL = st.lists(
    st.sampled_from(
        [
            b"\r\ntrivet-takes: file", b"\r\ntrivet-mount: /shop", b"\r\ntrivet-timeout: 5",
            b"\r\ntrivet-user: ann", b"\r\ntrivet-user: ", b"\r\ntrivet-stream: 1", b"\r\ntrivet-user: \xe4",
        ]
    ),
    max_size=3,
).map(b"".join)  # fmt: skip
# As our proxy writes them; and nearly so.
HEADS = st.builds(
    lambda line, usual, more, name, framing, queued, tail, last: b"".join(
        [
            line, b" HTTP/1.1\r\nhost: shop.example", usual, more, b"\r\nx-request-id: ", name, framing,
            b"\r\ntrivet-claim: 7 8 9", queued, tail, last, b"\r\n\r\n",
        ]
    ),
    LINE,
    USUAL,
    st.one_of(st.just(b""), FIELDS),
    st.sampled_from([b"1f", b"2e", b"", b"a b"]),
    FRAMING,
    QUEUED,
    TAIL,
    st.one_of(st.just(b""), st.just(b""), FIELDS),
)  # fmt: skip
ATTRIBUTES = [
    *(name for name in RequestHead.__slots__ if name not in ("headers", "authority", "found")),
    *("claim", "queued", "request_id", "has_body"),
]


def seen(environs: EnvironBuilder, parse: Any, head: bytes) -> Any:
    """All that a slot makes of a head."""
    try:
        parsed = parse(head, LIMITS)
    except HttpError as error:
        return error.why
    if not isinstance(parsed, ClaimedHead):
        return environs.build(parsed, OUR_PROXY, BODY, "1f")
    # What a slot asks for by name.
    asked = [parsed.get(b"trivet-" + name) for name in (b"timeout", b"stream", b"takes", b"user", b"mount")]
    what = {name: getattr(parsed, name) for name in ATTRIBUTES}
    environ = environs.build(parsed, OUR_PROXY, BODY, parsed.request_id.decode("latin-1"))
    return what, asked, environ


ENVIRONS = builder()


@given(HEADS)
def test_what_is_remembered_says_what_the_head_says(head: bytes) -> None:
    cold = seen(builder(), parse_strangers, head)
    parse = ProxysHeads(ENVIRONS.regulars).parse
    assert seen(ENVIRONS, parse, head) == cold
    assert seen(ENVIRONS, parse, head) == cold  # now it is remembered


@given(USUAL, FRAMING, QUEUED, TAIL)
def test_a_head_as_our_proxy_writes_it_is_remembered(
    usual: bytes, framing: bytes, queued: bytes, tail: bytes
) -> None:
    assume(all((usual + tail).count(b"\r\n%b:" % name) < 2 for name in NAMES if name.startswith(b"trivet-")))
    head = b"POST /shop/x HTTP/1.1\r\nhost: a" + usual + b"\r\nx-request-id: 1f" + framing
    parsed = ProxysHeads(ENVIRONS.regulars).parse(
        head + b"\r\ntrivet-claim: 7 8 9" + queued + tail + b"\r\n\r\n", LIMITS
    )
    assert isinstance(parsed, RegularsHead)


# ------------------------------------------------------------ whose it is


def test_what_is_different_in_each_request_is() -> None:
    environs = builder()
    first = environ_of(environs, request(line=b"GET /a?x", request_id=b"1f"))
    second = environ_of(environs, request(line=b"POST /b", request_id=b"2e"))
    assert len(environs.regulars) == 1
    different = {name for name in first | second if first.get(name) != second.get(name)}
    assert different == {
        "REQUEST_METHOD", "REQUEST_URI", "RAW_URI", "PATH_INFO", "QUERY_STRING", "HTTP_X_REQUEST_ID",
        "trivet.request_id",
    }  # fmt: skip
    assert (second["HTTP_X_REQUEST_ID"], second["trivet.request_id"]) == ("2e", "2e")


def test_an_application_changes_its_own_environ_only() -> None:
    environs = builder()
    first = environ_of(environs, request())
    was = dict(first)
    first.clear()
    first["wsgi.url_scheme"] = "gopher"
    assert environ_of(environs, request()) == was


def test_nothing_that_can_be_changed_is_shared() -> None:
    """But what the server gives to all: the error stream and the class of file wrappers."""
    environs = builder()
    first, second = (environ_of(environs, request(tail=b"\r\ntrivet-user: ann")) for _ in range(2))
    common = {name: value for name, value in first.items() if second[name] is value}
    assert {type(value) for value in common.values()} - {str, bool, float, type(None), tuple} == {
        io.StringIO, type(FileWrapper), object,
    }  # fmt: skip
    assert [name for name in common if type(common[name]) is object] == ["wsgi.input"]  # ours, in this test


def test_two_clients_are_two() -> None:
    environs = builder()
    other = STEADY.replace(b"203.0.113.9", b"198.51.100.7")
    tail = b"\r\ntrivet-user: ann"
    assert environ_of(environs, request(tail=tail))["REMOTE_USER"] == "ann"
    assert "REMOTE_USER" not in environ_of(environs, request())
    assert environ_of(environs, request(other))["REMOTE_ADDR"] == "198.51.100.7"
    assert environ_of(environs, request())["REMOTE_ADDR"] == "203.0.113.9"


# ------------------------------------------------------------ how much it is


def test_a_flood_of_made_up_clients_is_not_remembered_for_long() -> None:
    environs = builder()
    for number in range(10 * GENERATION):
        environ = environ_of(environs, request(STEADY + b"\r\nx-made-up: %d" % number))
        assert environ["HTTP_X_MADE_UP"] == str(number)
        assert len(environs.regulars) <= GENERATION
    assert repr(environs.regulars) == f"<Regulars {GENERATION} and {GENERATION} of {GENERATION}>"


def test_who_comes_again_is_remembered_through_a_flood() -> None:
    environs = builder()
    environ_of(environs, request())
    known = environs.regulars[STEADY]
    for number in range(3 * GENERATION):
        environ_of(environs, request(STEADY + b"\r\nx-made-up: %d" % number))
        if number % (GENERATION // 2) == 0:
            assert environs.regulars[STEADY] is known


def test_threads_that_meet_in_a_flood_read_what_was_said() -> None:
    environs = builder()
    wrong: list[dict[str, Any]] = []

    def serve(which: int) -> None:
        for number in range(4 * GENERATION):
            made_up = number * (1 + which % 2)  # some are the same client's
            environ = environ_of(environs, request(STEADY + b"\r\nx-made-up: %d" % made_up))
            if environ["HTTP_X_MADE_UP"] != str(made_up) or environ["HTTP_COOKIE"] != "a=b":
                wrong.append(environ)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=serve, args=(which,)) for which in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        sys.setswitchinterval(before)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert len(environs.regulars) <= GENERATION + len(threads)


@pytest.mark.parametrize(
    "more",
    [b"\r\ncookie: " + b"a" * LONGEST, b"\r\na: b" * 40, b"\r\ntrivet-user: " + b"a" * LONGEST],
    ids=["long", "many", "long user"],
)
@pytest.mark.parametrize("is_tail", [False, True])
def test_what_is_large_is_read_each_time(more: bytes, is_tail: bool) -> None:
    environs = builder()
    head = request(tail=more) if is_tail else request(STEADY + more)
    parsed = ProxysHeads(environs.regulars).parse(head, LIMITS)
    assert isinstance(parsed, ClaimedHead)
    assert not isinstance(parsed, RegularsHead)
    assert len(environs.regulars) == 0
