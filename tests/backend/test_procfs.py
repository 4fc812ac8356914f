"""What /proc says of processes of our own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from trivet_backend.procfs import parent_of, private_memory, state_of


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not found():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_process_is_seen_to_stop_and_to_be_gone() -> None:
    # The name of a process may hold what separates the fields.
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert parent_of(child.pid) == os.getpid()
        child.send_signal(signal.SIGSTOP)
        until(lambda: state_of(child.pid) == "T")
        child.send_signal(signal.SIGCONT)
        until(lambda: state_of(child.pid) in ("R", "S", "D"))
    finally:
        child.kill()
        child.wait()
    assert (state_of(child.pid), parent_of(child.pid), private_memory(child.pid)) == ("", 0, None)


def test_private_memory_is_what_a_process_has_to_itself() -> None:
    before = private_memory(os.getpid())
    held = bytearray(os.urandom(1)) * (32 << 20)
    after = private_memory(os.getpid())
    assert before is not None
    assert after is not None
    assert 28 << 20 < after - before < 64 << 20
    assert len(held) == 32 << 20
