"""Whether an interpreter is what users have, and what version a program says it is."""

import pytest

from benchmarks.machine import lines, optimised
from benchmarks.peers import version_in


@pytest.mark.parametrize(
    ("configured", "prefix", "system", "answer"),
    [
        ("'--enable-optimizations' '--with-lto'", "/opt/python", "Fedora", "yes"),
        ("'--enable-shared'", "/usr", "Debian GNU/Linux 12 (bookworm)", "yes"),
        ("'--enable-shared'", "/opt/python", "Debian GNU/Linux 12 (bookworm)", "NO"),
        ("", "/usr/local", "unknown", "NO"),
    ],
)
def test_an_interpreter_without_optimisations_is_called_so(
    configured: str, prefix: str, system: str, answer: str
) -> None:
    assert optimised(configured, prefix, system).startswith(answer)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\nUsage", "4.1.0-3+b2"),
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12-1+deb12u4"),
        ("", "unknown"),
    ],
)
def test_versions_are_found_in_what_programs_say(said: str, version: str) -> None:
    assert version_in(said) == version


@pytest.mark.parametrize(("load", "is_quiet"), [(0.1, True), (1.9, False)])
def test_a_machine_that_is_not_quiet_is_called_so(load: float, is_quiet: bool) -> None:
    machine = {
        "when": "2026-01-01", "commit": "abc", "cores": 2, "processor": "a processor", "kernel": "6.1",
        "system": "Debian", "versions": {"wrk": "4"}, "absent": {"nginx": "nginx: not here"},
        "load_before": load,
        "python": {"version": "3.11", "optimised": "yes", "loop_ms": 20.0},
    }  # fmt: skip
    said = lines(machine)
    assert ("NOT QUIET" not in "\n".join(said)) == is_quiet
    assert said[-1] == "absent: nginx: not here"
