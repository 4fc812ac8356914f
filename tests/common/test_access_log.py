"""Formats of the access log against what reads them: nginx's combined format, and JSON."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from trivet_common.access_log import FORMATS, AccessLog, AccessRecord

# nginx: log_format combined '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent
# "$http_referer" "$http_user_agent"'; nothing in a quoted field is a quote or a control character.
COMBINED = re.compile(
    r"(?P<client>\S+) - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]"
    r' "(?P<request>[ !#-~]*)" (?P<status>\d{3}) (?P<sent>\d+) "(?P<referer>[ !#-~]+)" "(?P<agent>[ !#-~]+)"'
)


def record(**values: Any) -> AccessRecord:
    made = AccessRecord()
    for name, value in ({"time": 1.5e9, "client": "::1", "method": "GET", "target": "/"} | values).items():
        setattr(made, name, value)
    return made


def test_combined_is_exactly_that() -> None:
    line = FORMATS["combined"](
        record(user="ada", target="/a?b=1", status=200, sent=7, referer="http://x/", user_agent="curl/8")
    )
    at = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(1.5e9))
    assert line == f'::1 - ada [{at}] "GET /a?b=1 HTTP/1.1" 200 7 "http://x/" "curl/8"\n'
    empty = COMBINED.fullmatch(FORMATS["combined"](record(status=304)).rstrip("\n"))
    assert empty
    assert empty.group("user", "referer", "agent") == ("-", "-", "-")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ('a"b', r"a\x22b"),
        ("a\\b", r"a\x5Cb"),
        ('" 200 0 "-" "forged', r"\x22 200 0 \x22-\x22 \x22forged"),
        ("\x1b[2J\r\n\t\x7f", r"\x1B[2J\x0D\x0A\x09\x7F"),
        ("\xc3\xa9", r"\xC3\xA9"),  # é, as it came
        ("\x85\x9b", r"\x85\x9B"),
        ("\u2028\udcff", r"\xE2\x80\xA8\x3F"),
    ],
)
def test_nothing_a_client_says_ends_its_field(sent: str, shown: str) -> None:
    for field in ("target", "user_agent", "referer", "method", "host"):
        said = record(**{"status": 200, field: sent})
        for name in ("combined", "trivet"):
            line = FORMATS[name](said)
            assert line.count("\n") == 1
            assert line.isascii()
            assert COMBINED.match(line)
            assert (shown in line) or field == "host"


def test_the_user_cannot_add_a_field() -> None:
    match = COMBINED.match(FORMATS["combined"](record(status=401, user='a - [x] "')))
    assert match
    assert match["user"] == r"a\x20-\x20[x]\x20\x22"


def test_trivet_is_combined_and_then_pairs() -> None:
    line = FORMATS["trivet"](
        record(status=502, host="a.example", request_id="r1", route="site.yaml:3", upstream="w3.0")
    )
    match = COMBINED.match(line)
    assert match
    pairs = dict(pair.split("=", 1) for pair in line[match.end() :].split())
    assert pairs == {
        "host": "a.example",
        "id": "r1",
        "route": "site.yaml:3",
        "upstream": "w3.0",
        "total": "0.000",
        "queued": "0.000",
    }
    assert FORMATS["trivet"](record(status=502, why="worker_died")).endswith(" why=worker_died\n")


def test_json_says_the_same_and_reads_utf_8() -> None:
    line = FORMATS["json"](
        record(status=200, sent=3, target="/\xc3\xa9", user_agent='\x1b\x7f"\xff', total=0.0012345678)
    )
    assert line.isascii()
    assert line.count("\n") == 1
    assert "\x7f" not in line
    values = json.loads(line)
    assert values["target"] == "/é"
    assert values["user_agent"] == '\x1b\x7f"\xff'
    assert values["total"] == 0.001235
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", values["time"])
    assert "why" not in values


def test_lines_are_written_in_batches(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "log", "combined")
    log.write(record(status=200))
    assert (tmp_path / "log").read_bytes() == b""
    for _ in range(1500):
        log.write(record(status=200))
    written = (tmp_path / "log").read_bytes().count(b"\n")
    assert 500 < written < 1501
    (tmp_path / "log").rename(tmp_path / "old")
    log.reopen()
    log.write(record(status=404))
    log.close()
    assert (tmp_path / "old").read_bytes().count(b"\n") == 1501
    assert (tmp_path / "log").read_bytes().count(b"\n") == 1
    assert log.lost == 0


def test_a_loss_is_told_once_and_when_it_grows_no_more() -> None:
    log, told = AccessLog(Path("/dev/full"), "combined"), list[str]()
    for _ in range(2):
        while not log.lost or log.lost % 7:
            log.write(record(target="/" + "x" * 5000))
        log.tell_lost(told.append)
        log.write(record())
    for _ in range(3):
        log.tell_lost(told.append)
    assert told == [f"{log.lost} lines of the access log could not be written so far"]
    log.close()
