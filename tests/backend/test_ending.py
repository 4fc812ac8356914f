import signal

import pytest

from trivet_backend.ending import manner


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (3, "exited with status 3"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-40, "was killed by signal 40"),
    ],
)
def test_how_a_child_ended(status: int, text: str) -> None:
    assert manner(status) == text
