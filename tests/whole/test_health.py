"""Health, asked of a site that is busy, that has no slots, and whose masters stand still."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, ask

BUSY = """
import os, time
folder = os.path.dirname(__file__)
if os.path.exists(os.path.join(folder, "broken")):
    raise RuntimeError("broken")
def application(environ, start_response):
    if environ["PATH_INFO"] == "/hold":
        open(os.path.join(folder, "held"), "w").close()
        while not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""
CONFIG = """
proxy: {processes: 1}
routes:
  - {path: /readyz, health: ready, log: off}
  - {path: /livez, health: live, log: off}
  - {path: /, pool: web}
pools: {web: {app: busy, workers: 1}}
"""


def states(site: Site) -> list[tuple[int, object]]:
    answers = [ask(site.address, path) for path in ("/readyz", "/livez")]
    return [(answer.status, answer.json()) for answer in answers]


READY = [(200, {"status": "ready", "slots": {"web": 1}}), (200, {"status": "live"})]


def test_a_busy_site_is_ready_and_one_without_a_slot_is_alive(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, busy=BUSY) as site:
        assert states(site) == READY
        with Talk(site.address) as talk:
            talk.say("GET /hold HTTP/1.1\nHost: a.example\n\n")
            wait_until((tmp_path / "held").exists, 5)
            assert states(site) == READY
            (tmp_path / "go").touch()
            assert talk.answer().status == 200
        (tmp_path / "broken").touch()
        os.kill(site.pids("trivet: worker ")[0], signal.SIGKILL)
        starting = [(503, {"status": "starting", "slots": {"web": 0}}), (200, {"status": "live"})]
        wait_until(lambda: states(site) == starting, 5)
        (tmp_path / "broken").unlink()
        wait_until(lambda: states(site) == READY, 20)


@pytest.mark.drill
@pytest.mark.parametrize("title", ["trivet: pool ", "trivet: proxy ", "trivet: serve "])
def test_a_site_with_a_master_that_stands_still_is_not_alive(tmp_path: Path, title: str) -> None:
    with running(tmp_path, CONFIG, busy=BUSY) as site:
        time.sleep(2.5)  # two signs
        (stuck,) = [pid for pid in site.pids(title) if " process " not in site.processes()[pid]]
        os.kill(stuck, signal.SIGSTOP)
        try:
            wait_until(lambda: ask(site.address, "/livez").json() == {"status": "stuck"}, 20)
            assert ask(site.address, "/").status == 200
        finally:
            os.kill(stuck, signal.SIGCONT)
        wait_until(lambda: ask(site.address, "/livez").status == 200, 10)
