"""`trivet status --probe ready|live`: an exit status for whoever restarts containers.

Says one word and leaves; imports neither click nor YAML (tests/deploy/test_probe.py counts).
"""

import sys
from collections.abc import Sequence

from . import running
from .refusal import FAILED, GOOD, NOTHING_RUNS, USAGE, Refusal
from .whereabouts import locate

QUESTIONS = {"live": running.is_alive, "ready": running.is_ready}
_OPTIONS = {"--probe": tuple(QUESTIONS), "--for": running.HALVES}
# Seconds; less than the timeout people write for Docker and Kubernetes (1 s and more).
TIMEOUT = 0.9
HOW = "usage: trivet status [FILE] --probe ready|live [--for proxy|backend]"


def main(words: Sequence[str]) -> int:
    """Answer a probe: 0 yes, 1 no, 3 nothing runs there."""
    try:
        question, argument, half = _parse(words)
        _, run_dir = locate(argument)
    except Refusal as refusal:
        print(f"trivet: {refusal}", file=sys.stderr)
        return refusal.status
    if not running.topmost(run_dir, half):
        print(f"not {question}: nothing runs in {run_dir}", file=sys.stderr)
        return NOTHING_RUNS
    if QUESTIONS[question](run_dir, TIMEOUT, half):
        print(question)
        return GOOD
    print(f"not {question}", file=sys.stderr)
    return FAILED


def _parse(words: Sequence[str]) -> tuple[str, str | None, str | None]:
    options: dict[str, str] = {}
    others: list[str] = []
    left = list(words)
    while left:
        name, is_joined, value = left.pop(0).partition("=")
        if name in _OPTIONS and (is_joined or left):
            options[name] = value if is_joined else left.pop(0)
        else:
            others.append(name + is_joined + value)
    if any(options.get(name, known[0]) not in known for name, known in _OPTIONS.items()):
        raise Refusal(HOW, USAGE)
    if "--probe" not in options or len(others) > 1 or any(word.startswith("-") for word in others):
        raise Refusal(HOW, USAGE)
    return options["--probe"], others[0] if others else None, options.get("--for")
