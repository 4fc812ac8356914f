"""The table of reasons is complete, well-formed and the only place they come from."""

import re
from pathlib import Path

import pytest

import trivet_common.http1
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.reasons import REASONS, refuse

DESIGNED = """
client_left 499 queue_full 503 queue_timeout 503 deadline 504 worker_died 502 worker_twice 502
app_error 500 too_large 413 denied 403 upstream_refused 502 upstream_timeout 504 upstream_bad 502 no_route 404
not_found 404 spool_full 507 draining 503 header_timeout 408 body_timeout 408 too_slow 408 expectation 417
method 405 internal 500
"""


def test_the_design_is_covered() -> None:
    words = DESIGNED.split()
    for why, status in zip(words[::2], words[1::2], strict=True):
        assert REASONS[why].status == int(status)


@pytest.mark.parametrize("why", REASONS)
def test_each_reason_is_a_name_a_status_and_a_sentence(why: str) -> None:
    reason = REASONS[why]
    assert re.fullmatch(r"(bad_head:|bad_body:)?[a-z][a-z0-9_]*", why)
    assert 400 <= reason.status <= 599
    assert re.fullmatch(r"[A-Z].*\.", reason.meaning)
    if why.startswith(("bad_head:", "bad_body:")):
        assert reason.source is Source.CLIENT


def test_no_room_invents_a_reason() -> None:
    folder = Path(trivet_common.http1.__file__).parent
    named = set()
    for room in folder.glob("*.py"):
        named |= set(re.findall(r'"(bad_(?:head|body):[a-z0-9_]+)"', room.read_text("utf-8")))
    assert named == {why for why in REASONS if why.startswith("bad_")} - {"bad_range"}


def test_no_reason_stands_there_for_nothing() -> None:
    """Each is given by some room of some program."""
    root = Path(trivet_common.http1.__file__).parents[3]
    rooms = [path for part in ("common", "proxy", "backend") for path in (root / part).rglob("*.py")]
    said = "".join(path.read_text("utf-8") for path in rooms if path.name != "reasons.py")
    assert [why for why in REASONS if f'"{why}"' not in said] == []


def test_refuse_reads_the_table() -> None:
    error = refuse("queue_full", retry=True, headers=((b"retry-after", b"1"),))
    assert isinstance(error, HttpError)
    assert (error.status, error.why, error.source, error.retry) == (503, "queue_full", Source.US, True)
    assert error.detail == REASONS["queue_full"].meaning
    assert error.headers == ((b"retry-after", b"1"),)
    assert refuse("internal", "Disk on fire.").detail == "Disk on fire."
    assert repr(error) == "<HttpError 503 queue_full by us>"
    assert str(error).startswith("503 why=queue_full (us): ")
    with pytest.raises(KeyError):
        refuse("nonsense")
