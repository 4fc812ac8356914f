"""How many workers, how they begin and how they end: what is written and what it means."""

from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import Pool, Preload, Reload, Settings, Workers, from_mapping


def site(tmp_path: Path, environ: dict[str, str] | None = None, **keys: Any) -> Settings:
    return from_mapping({"pools": {"web": {"app": "shop", **keys}}}, base=tmp_path, environ=environ or {})


def pool(tmp_path: Path, **keys: Any) -> Pool:
    return site(tmp_path, **keys).pools["web"]


def test_what_nobody_wrote(tmp_path: Path) -> None:
    plain = pool(tmp_path)
    assert (plain.kill_grace, plain.after_timeout, plain.retry) == (2.0, "replace", "safe")
    assert (plain.max_requests, plain.max_memory, plain.preload) == (None, None, None)
    assert (plain.post_fork, plain.worker_exit, plain.server_timing) == (None, None, False)
    assert plain.reload == Reload(60.0, None, 1)
    assert not plain.is_development


@pytest.mark.parametrize(
    ("written", "meant", "text"),
    [
        (4, Workers(4, 4), "4"),
        ("4", Workers(4, 4), "4"),
        ("${N}", Workers(3, 3), "3"),
        ({"max": 8}, Workers(1, 8), "1 to 8"),
        (
            {"min": 2, "max": 8, "wait": "100ms", "idle": "5m", "memory": "2GiB"},
            Workers(2, 8, 0.1, 300.0, 2**31),
            "2 to 8",
        ),
    ],
)
def test_the_number_of_workers(tmp_path: Path, written: Any, meant: Workers, text: str) -> None:
    found = site(tmp_path, {"WEB_CONCURRENCY": "7", "N": "3"}, workers=written).pools["web"].workers
    assert found == meant
    assert str(found) == text


def test_the_platforms_number_holds_where_none_is_written(tmp_path: Path) -> None:
    assert site(tmp_path, {"WEB_CONCURRENCY": "7"}).pools["web"].workers == Workers(7, 7)


def test_bounds_that_bind_nothing_earn_a_warning(tmp_path: Path) -> None:
    (warning,) = site(tmp_path, workers={"min": 4, "max": 4, "idle": "5m"}).warnings
    assert warning.message == "pools.web.workers: min and max are alike, so that the pool never grows"
    assert not site(tmp_path, workers={"min": 4, "max": 4}).warnings


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (True, Preload()),
        (False, None),
        ("off", None),
        ({}, Preload()),
        ({"threads": "refuse"}, Preload()),
        ({"threads": "allow"}, Preload(threads=True)),
    ],
)
def test_preload(tmp_path: Path, written: Any, meant: Preload | None) -> None:
    assert pool(tmp_path, preload=written).preload == meant


def test_everything_written(tmp_path: Path) -> None:
    full = pool(
        tmp_path,
        kill_grace="500ms",
        after_timeout="keep",
        retry="off",
        max_requests=5000,
        max_memory="300MiB",
        post_fork="shop.hooks:connect",
        worker_exit="shop.hooks:Hooks.close",
        server_timing=True,
        reload={"ready": "/healthz?deep=1", "surge": 2, "timeout": "5s"},
    )
    assert (full.kill_grace, full.after_timeout, full.retry) == (0.5, "keep", "off")
    assert (full.max_requests, full.max_memory) == (5000, 300 * 2**20)
    assert (full.post_fork, full.worker_exit) == ("shop.hooks:connect", "shop.hooks:Hooks.close")
    assert full.server_timing
    assert full.reload == Reload(5.0, "/healthz?deep=1", 2)
