"""`trivet status --probe ready|live`: an exit status for whoever restarts containers.

Says one word and leaves; imports neither click nor YAML (tests/deploy/test_probe.py counts).
"""

import sys
from collections.abc import Sequence

from . import running
from .refusal import FAILED, GOOD, NOTHING_RUNS, USAGE, Refusal
from .whereabouts import locate

QUESTIONS = {"live": running.is_alive, "ready": running.is_ready}
# Seconds; less than the timeout people write for Docker and Kubernetes (1 s and more).
TIMEOUT = 0.9
HOW = "usage: trivet status [FILE] --probe ready|live"


def main(words: Sequence[str]) -> int:
    """Answer a probe: 0 yes, 1 no, 3 nothing runs there."""
    try:
        question, argument = _parse(words)
        _, run_dir = locate(argument)
    except Refusal as refusal:
        print(f"trivet: {refusal}", file=sys.stderr)
        return refusal.status
    if not running.topmost(run_dir):
        print(f"not {question}: nothing runs in {run_dir}", file=sys.stderr)
        return NOTHING_RUNS
    if QUESTIONS[question](run_dir, TIMEOUT):
        print(question)
        return GOOD
    print(f"not {question}", file=sys.stderr)
    return FAILED


def _parse(words: Sequence[str]) -> tuple[str, str | None]:
    rest = [
        part for word in words for part in (word.split("=", 1) if word.startswith("--probe=") else [word])
    ]
    at = rest.index("--probe") if "--probe" in rest else len(rest)
    question = rest[at + 1] if at + 1 < len(rest) else ""
    others = rest[:at] + rest[at + 2 :]
    if question not in QUESTIONS or len(others) > 1 or any(word.startswith("-") for word in others):
        raise Refusal(HOW, USAGE)
    return question, others[0] if others else None
