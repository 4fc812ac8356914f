"""What is made of the samples of py-spy and of the counts of strace."""

from pathlib import Path

from benchmarks.contention import SHARED, Profile, _shown, calls_a_request, profile_of
from benchmarks.peers import ROOT

STRACE = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.006000          60       100        20 futex
 40.00    0.004000          20       200           sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.010000          33       300        20 total
"""


def test_samples_are_counted_where_the_process_was(tmp_path: Path) -> None:
    file = tmp_path / "room.py"
    file.write_text("work()\nthing.wait(1)\n")
    profile = profile_of(f"outer (a.py:1);Room.do ({file}:1) 7\nouter (a.py:1);Room.rest ({file}:2) 90\n")
    assert profile.files == {str(file): 7}
    assert list(profile.functions) == [f"{tmp_path.name}/room.py Room.do"]


def test_calls_are_counted_a_request() -> None:
    assert calls_a_request(STRACE, sends=2)["futex"] == 1.0
    assert calls_a_request(STRACE, sends=1)["flock"] == 0.0
    assert calls_a_request("", sends=1) == {}


def test_what_grows_with_the_width_shows() -> None:
    small, wide = Profile(), Profile()
    small.files.update({"x/trivet_common/pool/idle.py": 5, "x/other.py": 95})
    wide.files.update({"x/trivet_common/pool/idle.py": 9, "x/other.py": 91})
    wide.locks = {"futex": 0.5, "flock": 0.01}
    said = list(_shown("worker", small, wide))
    assert len(said) == 2
    assert "the pipe of idle slots shows: 9.0%" in said[0]
    assert "futex shows: 0.50 a request" in said[1]
    assert list(_shown("worker", small, small)) == []


def test_the_files_that_are_looked_at_exist() -> None:
    for file in (name for name in SHARED if name.startswith("trivet_")):
        assert (ROOT / file.split("_")[1].split("/")[0] / file).exists()
