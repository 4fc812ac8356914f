"""`trivet serve` started with its standard streams closed, as some supervisors do."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.whole.running import TRIVET, Site, wait_until
from tests.whole.talking import ask

APP = """
import os, subprocess, sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    program = "import os; print(*(os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 2)))"
    return [subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE).stdout]
"""


@pytest.mark.parametrize("closed", [">&- 2>&- <&-", pytest.param("<&-", marks=pytest.mark.slow)])
def test_no_file_of_ours_takes_the_place_of_a_closed_stream(tmp_path: Path, closed: str) -> None:
    (tmp_path / "app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    site = Site(
        tmp_path, f"listen: 127.0.0.1:{port}\nproxy: {{processes: 1}}\npools: {{web: {{app: app}}}}\n"
    )
    site.process = subprocess.Popen(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *TRIVET, "serve", "trivet.yaml"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: answered(port), 20)
        assert ask(("127.0.0.1", port), "/").body == b"/dev/null /dev/null\n"
        for pid in site.processes():
            assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
        assert site.stop() == 0
    finally:
        site.abandon()


def answered(port: int) -> bool:
    try:
        return ask(("127.0.0.1", port), "/").status == 200
    except OSError:
        return False
