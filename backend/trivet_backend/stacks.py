"""What the threads of this process are doing: their Python stacks, as text for people.

Knows no request; whoever asks names the threads.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Collection, Mapping
from pathlib import Path
from types import FrameType

# Of a recursion that runs away, the innermost frames say enough.
_MOST_FRAMES = 60
_OURS = str(Path(__file__).parent)
_GUARD = str(Path(__file__).with_name("interrupt.py"))


def capture(thread: int) -> traceback.StackSummary | None:
    """Where a thread is; None when it has ended. Reads no file: the lines themselves come with `text_of`."""
    frame = sys._current_frames().get(thread)
    return None if frame is None else _summary(frame)


def text_of(stack: traceback.StackSummary | None) -> str:
    """The innermost frame last."""
    return "(it has ended)" if stack is None else "".join(stack.format()).rstrip()


def all_stacks(names: Mapping[int, str], *, idle: Collection[int] = (), hidden: Collection[int] = ()) -> str:
    """The stack of every thread that is not hidden, under its name of `names`, those that have one first.

    Of an idle one the name says it all.
    """
    frames = sys._current_frames()
    others = {thread.ident: thread.name for thread in threading.enumerate()}
    titles = {ident: name for ident, name in names.items() if ident in frames}
    for ident in frames:
        titles.setdefault(ident, f"other thread {others.get(ident, ident)}")
    return "\n\n".join(
        title if ident in idle else f"{title}\n{text_of(_summary(frames[ident]))}"
        for ident, title in titles.items()
        if ident not in hidden
    )


def _summary(frame: FrameType) -> traceback.StackSummary:
    stack = list(traceback.walk_stack(frame))[:_MOST_FRAMES]
    stack.reverse()
    # What is above the application says nothing to its author; where none runs, all of it is shown.
    above = next((index for index, (at, _) in enumerate(stack) if _is_guard(at)), -1) + 1
    while 0 < above < len(stack) - 1 and stack[above][0].f_code.co_filename.startswith(_OURS):
        above += 1
    return traceback.StackSummary.extract(iter(stack[above:]), lookup_lines=False)


def _is_guard(frame: FrameType) -> bool:
    """Whether it is Alarm.guard, under which applications run."""
    code = frame.f_code
    return code.co_name == "guard" and code.co_filename == _GUARD
