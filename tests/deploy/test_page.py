"""What `trivet status` shows; halves of two versions may leave things out."""

from typing import Any

from trivet_deploy import page

BUSY = {
    "state": "running",
    "done": 4,
    "method": "GET",
    "path": "/slow",
    "request_id": "r",
    "seconds": 2.0,
    "deadline_in": 28.0,
    "overdue": False,
    "timeouts": 0,
}
OVERDUE = BUSY | {"path": "/hang", "seconds": 34.0, "deadline_in": -4.0, "overdue": True}
IDLE = {"state": "idle", "done": 0, "deadline_in": None, "overdue": False}
POOL: dict[str, Any] = {
    "ok": True,
    "app": "shop.wsgi",
    "ready": 2,
    "wanted": 2,
    "degraded": False,
    "restarts": 0,
    "timeouts": 0,
    "crashes": 0,
    "recycled": {"requests": 0, "memory": 0, "timeout": 0},
    "size": {"min": 2, "max": 2, "now": 2},
    "queue": {"waiting": 0, "oldest_wait": 0.0, "retries": 0, "full": 0, "expired": 0},
    "last_reload": None,
    "reload_progress": None,
    "template": None,
    "workers": [
        {
            "incarnation": 3,
            "pid": 11,
            "age": 3700,
            "state": "ready",
            "release": 1,
            "memory": 87 * 2**20,
            "slots": [BUSY, IDLE],
        },
        {"incarnation": 4, "pid": 12, "age": 0.2, "state": "starting", "release": 1, "slots": []},
    ],
}


def told(pool: dict[str, Any]) -> dict[str, Any]:
    return {"asked": "shop.yaml", "serve": None, "proxy": None, "pools": {"web": pool}, "problems": []}


def text(pool: dict[str, Any]) -> list[str]:
    return [line.text for line in page.lines(told(pool))]


def cells(pool: dict[str, Any]) -> list[list[str]]:
    return [[cell for cell in row if cell] for row in page.table(told(pool))]


def test_an_ordinary_pool_needs_two_lines() -> None:
    assert text(POOL) == [
        "pool web: shop.wsgi, release 1, 2 of 2 workers ready, 1 of 2 slots busy",
        "  0 waiting, 4 requests done by these workers",
    ]
    assert not any(line.is_bad for line in page.lines(told(POOL)))
    assert cells(POOL) == [
        ["pool", "worker", "pid", "age", "memory", "slot", "state", "for", "left", "done", "request"],
        ["web", "w3", "11", "1 h 1 m", "87 MiB", "0", "running", "2.0 s", "28 s", "4", "GET /slow"],
        ["web", "w3", "11", "1 h 1 m", "87 MiB", "1", "idle", "0"],
        ["web", "w4", "12", "0.2 s", "0", "starting"],
    ]


def test_what_has_happened() -> None:
    happened = POOL | {
        "timeouts": 2,
        "crashes": 1,
        "recycled": {"requests": 3, "memory": 1, "timeout": 2},
        "queue": {"waiting": 3, "oldest_wait": 1.25, "retries": 1, "full": 7, "expired": 1},
        "template": {"pid": 99, "state": "ready"},
        "size": {"min": 2, "max": 8, "now": 3},
    }
    first, second, third = text(happened)
    assert "2 of 2 workers ready (2 to 8), 1 of 2 slots busy" in first
    assert second == (
        "  3 waiting (the oldest for 1.2 s), 4 requests done by these workers, 2 timeouts, 1 crash, "
        "1 retried request, 7 requests refused by a full queue, "
        "1 request that waited too long, 3 workers recycled for their requests, "
        "1 worker recycled for its memory, 2 workers replaced after timeouts"
    )
    assert third == "  template: process 99, ready"
    assert text(POOL | {"crashes": 2})[1] == "  0 waiting, 4 requests done by these workers, 2 crashes"


def test_what_is_wrong() -> None:
    (worker, starting) = POOL["workers"]
    workers = [worker | {"slots": [OVERDUE, BUSY]}, starting]
    bad = page.lines(told(POOL | {"degraded": True, "ready": 1, "workers": workers}))
    assert [line.text for line in bad if line.is_bad] == [
        "  degraded: 1 of 2 workers are ready",
        "  1 slot is held by requests already answered 504: w3.0 (GET /hang, for 34 s)",
    ]
    rows = page.table(told(POOL | {"workers": workers}))
    assert rows[1][rows[0].index("state")] == "overdue"
    assert page.is_busy(rows[0], rows[1])


def test_a_reload_that_runs_and_one_that_failed() -> None:
    assert text(POOL | {"reloading": True, "reload_progress": "1 of 2 workers"})[2] == (
        "  reloading: 1 of 2 workers"
    )
    failed = {
        "at": 0,
        "ok": False,
        "seconds": 0.5,
        "problem": "app: it \x1b does not load\nwhy\nTraceback (most",
    }
    first, *rest = text(POOL | {"last_reload": failed})[2:]
    assert first.startswith("  the last reload (19")
    assert first.endswith(" failed, the release before it goes on:")
    assert rest == ["    app: it \\x1b does not load", "    why"]
    good = {"at": 0, "ok": True, "seconds": 2.0, "problem": None}
    assert text(POOL | {"last_reload": good})[2].endswith("): good, in 2.0 s")


def test_two_releases_side_by_side() -> None:
    old, new = POOL["workers"]
    both = POOL | {
        "workers": [old | {"state": "retiring"}, new | {"release": 2, "state": "ready", "slots": [IDLE]}]
    }
    assert "releases 1 and 2, " in text(both)[0]
    rows = page.table(told(both))
    assert [row[rows[0].index("release")] for row in rows[1:]] == ["1", "1", "2"]
    assert [row[rows[0].index("state")] for row in rows[1:]] == [
        "running, retiring",
        "idle, retiring",
        "idle",
    ]


def test_what_an_older_master_leaves_out() -> None:
    old = {
        "app": "shop.wsgi",
        "ready": 1,
        "wanted": 2,
        "workers": [{"incarnation": 3, "pid": 11, "age": 1, "slots": [{"state": "idle", "done": 0}]}],
    }
    assert text(old) == [
        "pool web: shop.wsgi, 1 of 2 workers ready, 0 of 1 slots busy",
        "  0 requests done by these workers",
    ]
    assert page.table(told(old))[0] == ("pool", "worker", "pid", "age", "slot", "state", "done")
    assert text({})[0].startswith("pool web: None")


def test_a_path_cannot_drive_the_terminal() -> None:
    worker = POOL["workers"][0] | {"slots": [BUSY | {"path": "/\x1b]0;x\x07é" + "y" * 99}]}
    row = page.table(told(POOL | {"workers": [worker]}))[1]
    assert row[-1].startswith("GET /\\x1b]0;x\\x07\\xe9yyy")
    assert len(row[-1]) < 90


def test_servers_that_are_left_out_are_said() -> None:
    upstreams = {
        "app": {"http://a:1": {"0": "in"}, "http://b:1": {"0": "out", "1": "in"}, "c\x1b": {"0": "trial"}},
        "lost": {},
    }
    proxy = {"processes": [], "upstreams": upstreams}
    lines = page.lines({"asked": "x", "serve": None, "proxy": proxy, "pools": {}, "problems": []})
    assert lines[1:] == [
        ("upstream app: http://b:1 is left out by 1 of 2 processes", False),
        ("upstream app: c\\x1b is left out by 1 of 1 process", True),
        ("upstream lost: no address of its servers is known", True),
    ]
