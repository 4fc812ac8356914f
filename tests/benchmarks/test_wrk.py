"""What wrk is asked, and what is made of what it says."""

import pytest

from benchmarks.wrk import Asked, parse, script_of

GOOD = (
    '"requests": 8000, "micros": 2000000, "bytes": 1, "connect": 0, "read": 0, "write": 0,'
    ' "status": 0, "timeout": 0, "p50": 1500, "p99": 9000, "p999": 20500'
)


def said(numbers: str) -> str:
    return f"Running 2s test @ http://127.0.0.1:1/\n  1 threads\n\nMEASURED {{{numbers}}}\n"


def test_its_numbers_become_rates_and_milliseconds() -> None:
    seen = parse(said(GOOD))
    assert (seen.requests, seen.seconds, seen.rate) == (8000, 2.0, 4000.0)
    assert (seen.p50, seen.p99, seen.p999) == (1.5, 9.0, 20.5)
    assert seen.errors == ""


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
def test_each_kind_of_error_is_named(kind: str) -> None:
    assert parse(said(GOOD.replace(f'"{kind}": 0', f'"{kind}": 3'))).errors == f"3 x {kind}"


def test_no_answer_at_all_is_an_error() -> None:
    assert parse(said(GOOD.replace("8000", "0"))).errors == "no request was answered"


@pytest.mark.parametrize(
    ("out", "why"), [("", "wrk said nothing"), ("unable to connect to 1:2\n", "unable to connect to 1:2")]
)
def test_without_numbers_its_last_line_is_the_error(out: str, why: str) -> None:
    assert parse(out).errors == why


def test_a_script_says_method_headers_and_body() -> None:
    lines = script_of(Asked(method="POST", headers=(("X-A", 'say "a\\b"'),), body=10)).splitlines()
    assert lines[0] == 'wrk.method = "POST"'
    assert lines[1] == 'wrk.headers["X-A"] = "say \\"a\\\\b\\""'
    assert lines[2] == 'wrk.body = string.rep("x", 10)'


def test_heads_that_differ_are_made_before_the_clock_runs() -> None:
    same, various = script_of(Asked("/?page=1")), script_of(Asked("/?page=1", heads=500))
    assert "requests[" not in same
    assert "for number = 1, 500 do" in various
    assert various.index("init = function") < various.index("request = function") < various.index("done =")
