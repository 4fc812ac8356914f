"""What threads are doing, as text."""

import threading
from time import monotonic

from trivet_backend.stacks import all_stacks, capture, text_of


def waiting_here(begun: threading.Barrier, go: threading.Event) -> None:
    begun.wait(5)
    go.wait(5)


def test_each_thread_stands_under_its_name() -> None:
    begun, go = threading.Barrier(3), threading.Event()
    threads = [
        threading.Thread(target=waiting_here, args=(begun, go), name=name) for name in ("one", "somebody")
    ]
    for thread in threads:
        thread.start()
    begun.wait(5)
    try:
        named = threads[0].ident
        assert named is not None
        names = {named: "w3.0 GET /slow id for 4.0 s", 1: "w3.1 of a thread that is gone"}
        end = monotonic() + 5
        first, *others = all_stacks(names).split("\n\n")
        while "go.wait" not in first and monotonic() < end:  # it is on its way from the one to the other
            first, *others = all_stacks(names).split("\n\n")
        assert first.startswith("w3.0 GET /slow id for 4.0 s\n")
        assert "in waiting_here" in first
        assert "    go.wait(5)\n" in first
        assert any(other.startswith("other thread somebody\n") for other in others)
        assert not any(other.startswith("w3.1") for other in others)
        assert text_of(capture(named)) in first
        assert all_stacks({named: "w3.0 idle"}, idle=[named]).startswith("w3.0 idle\n\n")
        hidden = all_stacks({named: "w3.0"}, hidden=[threads[1].ident or 0])
        assert "\nother thread somebody" not in hidden
    finally:
        go.set()
        for thread in threads:
            thread.join(5)
    assert capture(threads[0].ident or 0) is None
    assert text_of(None) == "(it has ended)"


def test_of_a_recursion_the_innermost_frames_are_shown() -> None:
    def deeper(left: int) -> str:
        return text_of(capture(threading.get_ident())) if not left else deeper(left - 1)

    text = deeper(300)
    assert len(text.splitlines()) < 200
    assert "in capture" in text.splitlines()[-2]
