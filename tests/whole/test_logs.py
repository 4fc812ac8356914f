"""What is logged: the access log's formats, reopening, and what the application prints."""

import json
import os
import re
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, ask, logged

SAYING = """
import logging, sys
print("imported")
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
def application(environ, start_response):
    if environ["PATH_INFO"] == "/say":
        print("printed", "in parts")
        print("forged\\x1b[2J\\rline", end="")
        print()
        logging.getLogger("shop").warning("two\\nlines")
        environ["wsgi.errors"].write("to wsgi.errors\\n")
        print("to stderr", file=sys.stderr)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"seven b"]
"""
POOL = "pools: {web: {app: saying, workers: 1, threads: 1}}\n"
TIME = r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"
LINE = re.compile(rf'^(\S+) - (\S+) \[({TIME})\] "(.*)" (\d{{3}}) (\d+) "(.*)" "(.*)"$')
ASKED = ("Referer: http://b.example/?q=\"x\"", "User-Agent: seven/1.0 \\ (quoted \"words\")")  # fmt: skip


def lines(folder: Path, name: str = "access.log") -> list[str]:
    found = folder / name
    return found.read_text().split("\n")[:-1] if found.exists() else []


def test_combined_is_exactly_that(tmp_path: Path) -> None:
    config = "proxy: {processes: 1}\nlog: {access: access.log, format: combined}\n" + POOL
    before = datetime.now(UTC).replace(microsecond=0)
    with running(tmp_path, config, saying=SAYING) as site:
        ask(site.address, "/a?b=%22", *ASKED, "Authorization: Basic YWRhOnB3")
        ask(site.address, "/", method="HEAD")
        with Talk(site.address) as talk:
            talk.say("GET /old HTTP/1.0\n\n").answer()
    first, head, old = (LINE.match(line) for line in lines(tmp_path))
    assert first
    assert head
    assert old
    assert first.group(1, 2) == ("127.0.0.1", "ada")
    at = datetime.strptime(first[3], "%d/%b/%Y:%H:%M:%S %z")
    assert before <= at <= datetime.now(UTC)
    assert first.group(4, 5, 6) == ("GET /a?b=%22 HTTP/1.1", "200", "7")
    assert first[7] == r"http://b.example/?q=\x22x\x22"  # as nginx writes it
    assert first[8] == r"seven/1.0 \x5C (quoted \x22words\x22)"
    assert head.group(2, 4, 5, 6, 7, 8) == ("-", "HEAD / HTTP/1.1", "200", "0", "-", "-")
    assert old[4] == "GET /old HTTP/1.0"


def test_json_parses_and_says_the_same(tmp_path: Path) -> None:
    config = "proxy: {processes: 1}\nlog: {access: access.log, format: json}\n" + POOL
    with running(tmp_path, config, saying=SAYING) as site:
        ask(site.address, "/a?b=%22", *ASKED)
        ask(site.address, "/x", "User-Agent: caf\xe9")
    first, second = (json.loads(line) for line in lines(tmp_path))
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    expected = {"client": "127.0.0.1", "method": "GET", "target": "/a?b=%22", "status": 200, "sent": 7}
    assert {name: first[name] for name in expected} == expected
    assert first["user_agent"] == 'seven/1.0 \\ (quoted "words")'
    assert first["host"] == "a.example"
    assert first["route"] == "/"
    assert re.fullmatch(r"w\d+\.0", first["upstream"])
    assert 0 <= first["queued"] <= first["total"] < 5
    assert "why" not in first
    assert second["user_agent"] == "caf\xe9"


def test_trivet_is_combined_and_pairs_after_it(tmp_path: Path) -> None:
    config = "proxy: {processes: 1}\nlog: {access: access.log}\n" + POOL
    with running(tmp_path, config, saying=SAYING) as site:
        told = ask(site.address, "/a", "User-Agent: a b", "X-Request-Id: mine")
        assert told.status == 200
        # A control character reaches a log in its encoded form, or as C1 in a field: both without effect.
        ask(site.address, "/%7F%9B2J", "User-Agent: \x9b2J\xa0")
        with Talk(site.address) as talk:
            talk.say("GET / HTTP/1.1\nHost: a\nX-Bad: \x1b[2J\n\n").answer()
    first, *rest = lines(tmp_path)
    pairs = logged(first)
    assert pairs["host"] == "a.example"
    assert re.fullmatch(r"[0-9a-f]{32}", pairs["id"])
    assert float(pairs["total"]) >= float(pairs["queued"]) >= 0
    assert all(line.isascii() and line.isprintable() for line in rest), rest
    assert ' "-" 400 ' in rest[-1]
    assert "why=bad_head:field_value" in rest[-1]


def test_a_moved_log_is_reopened_and_loses_no_line(tmp_path: Path) -> None:
    config = "proxy: {processes: 2}\nlog: {access: access.log, error: error.log}\n" + POOL
    asked: list[str] = []
    is_over = threading.Event()

    def keep_asking(site: Site, name: str) -> None:
        with Talk(site.address) as talk:
            number = 0
            while not is_over.is_set() and number < 5000:
                target = f"/{name}/{number}"
                assert talk.get(target).status == 200
                asked.append(target)
                number += 1

    with running(tmp_path, config, saying=SAYING) as site:
        clients = [threading.Thread(target=keep_asking, args=(site, name)) for name in "abcd"]
        for client in clients:
            client.start()
        try:
            for turn in range(3):
                wait_until(lambda: lines(tmp_path), 5, "lines in the log")
                for name in ("access", "error"):
                    os.rename(tmp_path / f"{name}.log", tmp_path / f"{name}.log.{turn}")
                os.kill(site.pid, signal.SIGUSR1)
                wait_until(lambda: (tmp_path / "access.log").exists(), 5, "the log under its name again")
                wait_until(lambda: (tmp_path / "error.log").exists(), 5, "the error log under its name again")
        finally:
            is_over.set()
            for client in clients:
                client.join(10)
        assert ask(site.address, "/say").status == 200
    names = [f"access.log.{turn}" for turn in range(3)] + ["access.log"]
    found = [logged(line)["target"] for name in names for line in lines(tmp_path, name)]
    assert sorted(found) == sorted([*asked, "/say"])
    assert "printed in parts" in (tmp_path / "error.log").read_text()


def test_what_the_application_says_is_in_the_error_log(tmp_path: Path) -> None:
    with running(tmp_path, "log: {error: error.log}\n" + POOL, saying=SAYING) as site:
        pid = site.pids("worker web")[0]
        ask(site.address, "/say")
    said = {}
    for line in lines(tmp_path, "error.log"):
        found = re.match(r"[-\d]+ [:.\d]+ (debug|info|warning|error) \[([^]]+)\] (.*)$", line)
        assert found, line
        said[found[3]] = (found[1], found[2])
    who = f"web w1 {pid}"
    assert said["imported"] == said["printed in parts"] == ("info", who)
    assert said["forged\\x1b[2J\\x0dline"] == ("info", who)
    assert said["WARNING shop: two"][1] == said["lines"][1] == who
    assert said["to wsgi.errors"] == said["to stderr"] == ("error", who)
