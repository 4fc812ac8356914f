"""dispatch/terms.py: what of a pool's configuration its dispatch goes by."""

from dataclasses import replace

import pytest

from trivet_common.config import from_mapping
from trivet_proxy.dispatch.terms import QueueLimits, Terms


@pytest.fixture
def pool(tmp_path):
    mapping = {"pools": {"web": {"app": "a", "workers": {"min": 1, "max": 2, "wait": "70ms"}}}}
    return from_mapping(mapping, base=tmp_path).pools["web"]


@pytest.mark.parametrize(
    ("limit", "processes", "parts"),
    [(10, 3, [4, 3, 3]), (2, 4, [1, 1, 1, 1]), (0, 2, [0, 0]), (1000, 1, [1000])],
)
def test_the_limit_is_shared_out(limit, processes, parts):
    assert [QueueLimits.share(limit, 1.0, index, processes).limit for index in range(processes)] == parts


@pytest.mark.parametrize(
    ("retry", "methods"),
    [
        ("off", set()),
        ("safe", {b"GET", b"HEAD", b"OPTIONS", b"TRACE"}),
        ("idempotent", {b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"}),
    ],
)
def test_what_is_run_again(pool, retry, methods):
    assert Terms.of(replace(pool, retry=retry), 0, 1).retried == methods


def test_those_of_a_process(pool):
    terms = Terms.of(pool, 1, 2)
    assert terms.limits == QueueLimits(500, 10.0)
    assert terms.late == 0.07
