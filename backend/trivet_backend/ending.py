"""How a child ended, in words."""

import signal


def manner(status: int) -> str:
    """`status` as os.waitstatus_to_exitcode gives it."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
