from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from tests.proxy.fakes_gates import Inner, client, request
from trivet_common.config.settings_access import RateLimit
from trivet_common.http1.errors import HttpError
from trivet_proxy.buckets import Buckets, Draw
from trivet_proxy.gates.rate_limit import rate_gate
from trivet_proxy.origin import origin_of

NOBODY = SimpleNamespace()


@pytest.fixture
def buckets(tmp_path: Path) -> Buckets:
    return Buckets(tmp_path / "rate.buckets", lambda: 10**12)


async def passes(gate, *lines: str, who: str = "192.0.2.7") -> bool:
    try:
        await gate(request(*lines, who=client(who)), NOBODY)
    except HttpError as error:
        return (error.status, error.why) != (429, "rate_limited")
    return True


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
        ("", "192.0.2.7", False),
        (":rubbish", ":others", False),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, is_same: bool) -> None:
    assert (origin_of(one) == origin_of(other)) is is_same


async def test_each_client_has_its_rate(buckets: Buckets) -> None:
    gate = rate_gate([RateLimit("/ 0", 10, 1.0, 1)], buckets, Inner())
    assert [await passes(gate) for _ in range(3)] == [True, True, False]
    assert [await passes(gate, who="192.0.2.8") for _ in range(3)] == [True, True, False]


async def test_a_forged_address_is_no_other_client(buckets: Buckets) -> None:
    gate = rate_gate([RateLimit("/ 0", 10, 1.0, 0)], buckets, Inner())
    found = [await passes(gate, f"x-forwarded-for: 10.0.0.{number}") for number in range(5)]
    assert found == [True, False, False, False, False]


async def test_a_claim_that_is_not_believed_is_no_key(buckets: Buckets) -> None:
    """Else each made-up address has a rate of its own, and there is no limit."""
    gate = rate_gate([RateLimit("/ 0", 10, 1.0, 0, "cf-connecting-ip")], buckets, Inner())
    found = [await passes(gate, f"cf-connecting-ip: 10.0.0.{number}") for number in range(3)]
    assert found == [True, False, False]
    trusted = client("192.0.2.7", is_trusted=True)
    await gate(request("cf-connecting-ip: 10.0.0.1", who=trusted), NOBODY)
    await gate(request("cf-connecting-ip: 10.0.0.2", who=trusted), NOBODY)


async def test_each_value_of_a_header_has_its_rate_and_none_is_one_value(buckets: Buckets) -> None:
    gate = rate_gate([RateLimit("/ 0", 10, 1.0, 0, "x-api-key")], buckets, Inner())
    assert await passes(gate, "x-api-key: a")
    assert await passes(gate, "X-Api-Key: b")
    assert not await passes(gate, "x-api-key: a", who="192.0.2.9")
    assert await passes(gate)
    assert not await passes(gate, who="192.0.2.9")


async def test_the_answer_says_when_to_come_again(buckets: Buckets) -> None:
    limits = [RateLimit("/ 0", 100, 1.0, 99), RateLimit("/ 1", 2, 60.0, 0, "x-key")]
    gate = rate_gate(limits, buckets, Inner())
    assert await passes(gate)
    with pytest.raises(HttpError) as refused:
        await gate(request(), NOBODY)
    assert dict(refused.value.headers) == {
        b"retry-after": b"30",
        b"ratelimit-policy": b'"client";q=100;w=1, "x-key";q=2;w=60',
        b"ratelimit": b'"client";r=0;t=30',
    }


async def test_a_request_that_is_passed_on_counts_once(buckets: Buckets) -> None:
    """`fallback: next` leads through the same gate of the next route, where both have it of `defaults`."""
    inner = Inner()
    limits = [RateLimit("defaults 0", 10, 1.0, 0)]
    asked = request()
    await rate_gate(limits, buckets, rate_gate(list(limits), buckets, inner))(asked, NOBODY)
    assert inner.calls == 1
    with pytest.raises(HttpError):
        await rate_gate([RateLimit("/ 0", 10, 1.0, 0)], buckets, rate_gate(limits, buckets, inner))(
            request(), NOBODY
        )


class Busy:
    """Buckets whose lock somebody holds for so many tries."""

    def __init__(self, tries: int) -> None:
        self.tries = tries

    def key_of(self, scope: bytes, subject: bytes) -> int:
        return 1

    def try_take(self, draws: list[Draw], is_forced: bool = False) -> int | None:
        self.tries -= 1
        return 0 if is_forced or self.tries < 0 else None


@pytest.mark.parametrize("tries", [3, 10**6])
async def test_a_lock_that_is_held_is_waited_for_but_not_for_ever(autojump_clock, tries: int) -> None:
    inner = Inner()
    await rate_gate([RateLimit("/ 0", 10, 1.0, 0)], Busy(tries), inner)(request(), NOBODY)
    assert inner.calls == 1
    assert trio.current_time() < 0.1
