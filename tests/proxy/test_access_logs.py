"""The logs of a configuration: each file once, all of them opened, flushed, reopened and counted together."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet_common.access_log import AccessLog, AccessRecord
from trivet_common.config import load
from trivet_common.log_target import LogError
from trivet_proxy.access_logs import AccessLogs, open_access_logs

CONFIG = """
log: {access: main.log, format: combined}
routes:
  - {path: /a, respond: 204, log: a.log}
  - {path: /b, respond: 204, log: a.log}
  - {path: /c, respond: 204, log: c.log}
"""


def open_logs(folder: Path, config: str = CONFIG) -> AccessLogs:
    (folder / "trivet.yaml").write_text(config)
    return open_access_logs(load(folder / "trivet.yaml", environ={}))


def lines(file: Path) -> int:
    return file.read_text().count("\n")


def test_a_file_is_open_once(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    assert len(list(logs)) == 3
    a, c = logs.of(tmp_path / "a.log"), logs.of(tmp_path / "c.log")
    assert a is not None
    assert c is not None
    a.write(AccessRecord())
    a.write(AccessRecord())
    c.write(AccessRecord())
    logs.flush(pytest.fail)
    assert [lines(tmp_path / name) for name in ("main.log", "a.log", "c.log")] == [0, 2, 1]
    assert logs.of(None) is logs.main
    # A request that was begun before a reload, of a route that has no file any more.
    assert logs.of(tmp_path / "gone.log") is logs.main
    assert repr(logs).endswith("and 2 of routes, 0 lines lost>")
    logs.close()


def test_without_a_main_log(tmp_path: Path) -> None:
    logs = open_logs(tmp_path, CONFIG.replace("main.log", "off"))
    assert logs.main is None
    assert logs.of(None) is None
    assert len(list(logs)) == 2
    logs.close()
    assert list(AccessLogs()) == []


def test_all_are_reopened_and_one_that_cannot_be_is_told(tmp_path: Path) -> None:
    logs = open_logs(tmp_path)
    for name in ("main.log", "a.log", "c.log"):
        (tmp_path / name).rename(tmp_path / f"{name}.1")
    (tmp_path / "a.log").mkdir()
    told: list[str] = []
    logs.reopen(told.append)
    assert len(told) == 1
    assert "a.log: cannot be opened" in told[0]
    for log in logs:
        log.write(AccessRecord())
    logs.close()
    assert lines(tmp_path / "main.log") == lines(tmp_path / "c.log") == 1
    assert lines(tmp_path / "a.log.1") == 1  # the old one is kept


def test_one_that_cannot_be_opened_leaves_none_open(tmp_path: Path) -> None:
    (tmp_path / "trivet.yaml").write_text(CONFIG)
    settings = load(tmp_path / "trivet.yaml", environ={})
    (tmp_path / "c.log").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(LogError, match=r"c\.log"):
        open_access_logs(settings)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_lost_lines_are_counted_together_and_told_by_file() -> None:
    logs = AccessLogs(AccessLog(None, "json"), {"x": AccessLog(Path("/dev/full"), "json", title="x.log")})
    log = logs.of("x")
    assert log is not None
    record = AccessRecord()
    record.target = "/" * 8000
    for _ in range(200):
        log.write(record)
    told: list[str] = []
    logs.flush(told.append)
    logs.flush(told.append)
    assert logs.lost == log.lost > 0
    assert told == [f"{log.lost} lines of x.log could not be written so far"]
    logs.close()
