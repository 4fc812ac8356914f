"""upstreams/hops.py: a request that comes again and again is asked no more."""

import pytest

from tests.proxy.fakes_core import parse
from trivet_common.http1.errors import HttpError
from trivet_proxy.upstreams.hops import MOST, judge_hops


def head(*lines: str):
    return parse("\r\n".join(["GET / HTTP/1.1", "host: h", *lines, "", ""]).encode())[0]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["cdn-loop: other; loops=100", "cdn-loop: nottrivet, trivet-2, trivet;x=1"],
        ["cdn-loop: trivet"] * (MOST - 1),
    ],
)
def test_who_may_go_on(lines):
    judge_hops(head(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        ["cdn-loop: trivet"] * MOST,
        ["CDN-Loop: " + "other, Trivet ;x, " * MOST],
        ["cdn-loop: " + "trivet," * 200],
    ],
)
def test_who_comes_again_and_again(lines):
    with pytest.raises(HttpError) as refused:
        judge_hops(head(*lines))
    assert (refused.value.status, refused.value.why) == (508, "upstream_loop")
