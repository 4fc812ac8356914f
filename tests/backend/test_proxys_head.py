"""What our own proxy sends is cut as the gate would cut it; everything else goes to the gate."""

import pytest

from trivet_backend.proxys_head import ClaimedHead, ProxysHeads, RegularsHead
from trivet_backend.regulars import Regulars
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.errors import HttpError
from trivet_common.http1.request import RequestHead, parse_request_head

LIMITS = HeadLimits()
CLAIM = b"trivet-claim: 7 8 9\r\n"
REGULAR = b"x-request-id: 1f\r\n%btrivet-claim: 7 8 9\r\ntrivet-queued: 20\r\ntrivet-takes: file\r\n\r\n"


def parse_proxys_head(head: bytes, limits: HeadLimits) -> RequestHead:
    return ProxysHeads(Regulars(lambda fields, said: {})).parse(head, limits)


def seen(head: RequestHead) -> dict[str, object]:
    # `host` is the proxy's to route by, and `found` what it remembers.
    return {name: getattr(head, name) for name in RequestHead.__slots__ if name not in ("host", "found")}


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"GET /a/b?c=d?e&f HTTP/1.1\r\nhost: example.com:8080\r\naccept: */*\r\ncookie: a=b; c=d\r\n",
        b"GET //a//b%20c/%C3%A4 HTTP/1.1\r\nhost: [::1]:80\r\nx-empty: \r\nx-colon: a: b:c\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: a\r\n",
        b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 12\r\n",
        b"POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n",
        b"POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx-twice: 1\r\nx-twice: 2\r\nx-forwarded-for: 1.2.3.4\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx-byte: \xe4\xff\r\ntrivet-mount: /shop\r\n",
    ],
)
def test_it_says_what_the_gate_says(head: bytes) -> None:
    whole = head + CLAIM + b"\r\n"
    assert seen(parse_proxys_head(whole, LIMITS)) == seen(parse_request_head(whole, LIMITS))


@pytest.mark.parametrize("framing", [b"", b"content-length: 0\r\n", b"content-length: 12\r\n"])
@pytest.mark.parametrize("target", [b"/", b"/?", b"/a?b=c?d", b"//a%20b//c"])
def test_a_regulars_head_says_what_the_gate_says_but_for_its_fields(target: bytes, framing: bytes) -> None:
    whole = b"GET " + target + b" HTTP/1.1\r\nhost: a:80\r\naccept: */*\r\n" + REGULAR % framing
    head, judged = parse_proxys_head(whole, LIMITS), parse_request_head(whole, LIMITS)
    assert isinstance(head, RegularsHead)
    judged.headers, judged.authority = [], b""  # they are in the template
    assert seen(head) == seen(judged)
    assert (head.orders, head.get(b"trivet-takes")) == ({b"trivet-takes": b"file"}, b"file")
    assert (head.claim, head.queued, head.request_id) == ((7, 8, 9), 0.02, b"1f")


def test_the_last_of_several_fields_is_said() -> None:
    """As it always was where a head has a claim; our proxy sends one of each."""
    head = b"GET / HTTP/1.1\r\nhost: a\r\ntrivet-claim: 1 2 3\r\nx-request-id: 4\r\n" + REGULAR % b""
    claimed = parse_proxys_head(head, LIMITS)
    assert isinstance(claimed, ClaimedHead)
    assert not isinstance(claimed, RegularsHead)
    assert (claimed.claim.number, claimed.request_id) == (7, b"1f")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",  # no claim
        b"GET / HTTP/1.1\r\nHost: a\r\ntrivet-claim : 1 2 3\r\n\r\n",
        b"GET / HTTP/2.0\r\nhost: a\r\n" + CLAIM + b"\r\n",
        b"GET  / HTTP/1.1\r\nhost: a\r\n" + CLAIM + b"\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n" + CLAIM + b"\r\n",
        b"GET /../a%2e HTTP/1.1\r\nhost: a\r\nexpect: 200-maybe\r\n" + CLAIM + b"\r\n",
        b"GET //%zz HTTP/1.1\r\nhost: a\r\n" + CLAIM + b"\r\n",
    ],
)
def test_what_is_not_our_proxys_is_judged(head: bytes) -> None:
    with pytest.raises(HttpError):
        parse_proxys_head(head, LIMITS)


def test_a_head_with_options_of_the_connection_is_judged() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + CLAIM + b"\r\n"
    claimed = parse_proxys_head(head, LIMITS)
    assert isinstance(claimed, ClaimedHead)
    assert (claimed.claim, claimed.keep_alive) == ((7, 8, 9), False)
