"""How a child ended, in words."""

import signal

# What a child may say of why it fails, in characters: a traceback, and no day's work for the log.
LONGEST_REASON = 64 * 1024


def manner(status: int) -> str:
    """`status` as os.waitstatus_to_exitcode gives it."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
