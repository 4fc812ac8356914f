"""What a process settles about its family, seen from outside."""

import os
import signal
import time
from collections.abc import Callable

from trivet_backend.prctl import adopt_orphans, die_with, wake_with
from trivet_backend.procfs import parent_of, state_of


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not found():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_an_orphans_orphan_is_ours() -> None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        adopt_orphans()
        middle = os.fork()
        if middle == 0:
            middle_one = os.getpid()
            if os.fork() == 0:
                while os.getppid() == middle_one:
                    time.sleep(0.001)
                os.write(tell, b"%d" % os.getppid())
                os._exit(0)
            os._exit(0)
        os.waitpid(middle, 0)
        os.wait()
        os._exit(0)
    os.waitpid(pid, 0)
    assert int(os.read(told, 20)) == pid
    os.close(told), os.close(tell)


def test_a_child_dies_with_its_parent() -> None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        parent = os.getpid()
        if os.fork() == 0:
            die_with(parent)
            os.write(tell, b"%d" % os.getpid())
            time.sleep(60)
        time.sleep(60)
    child = int(os.read(told, 20))
    assert parent_of(child) == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until(lambda: state_of(child) in ("", "Z"))
    os.close(told), os.close(tell)


def test_a_stopped_child_goes_on_when_its_parent_ends() -> None:
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        parent = os.getpid()
        if os.fork() == 0:
            wake_with(parent)
            os.write(tell, b"%d" % os.getpid())
            while os.getppid() == parent:
                time.sleep(0.005)
            os._exit(0)
        time.sleep(60)
    child = int(os.read(told, 20))
    os.kill(child, signal.SIGSTOP)
    until(lambda: state_of(child) == "T")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until(lambda: state_of(child) in ("", "Z"))
    os.close(told), os.close(tell)


def test_one_whose_parent_has_gone_already_dies_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        die_with(os.getpid())
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
