"""What workers would inherit from the process they are forked from: locks of its threads, open sockets.

Knows no template; says in words what it finds.
"""

import os
import socket
import threading
from pathlib import Path


class InheritanceError(Exception):
    """Something that must not be inherited; the text names it."""


def refuse_threads() -> None:
    """A fork copies a thread's locks and not the thread. Raises InheritanceError if there is a second one."""
    known = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    found = [_describe_thread(thread) for thread in known]
    # The main thread's own native_id may still be its parent's.
    ids = {str(os.getpid()), *(str(thread.native_id) for thread in known)}
    found += [_describe_task(task) for task in os.listdir("/proc/self/task") if task not in ids]
    if found:
        raise InheritanceError(
            f"preload: the application has started {'; '.join(found)}. Workers forked from it would have its "
            "locks and not the thread: start it in post_fork, or write preload: {threads: allow}"
        )


def open_sockets() -> list[int]:
    """The descriptors of this process that are sockets."""
    return sorted(int(name) for name in os.listdir("/proc/self/fd") if _is_socket(name))


def describe_socket(fd: int) -> str:
    """For a person, who knows their database's address."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            return f"a connection to {_address(sock.getpeername())}"
        except OSError:
            return f"a socket at {_address(sock.getsockname())}"


def _is_socket(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    except OSError:
        return False  # the one the folder was listed with


def _address(address: object) -> str:
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    return str(address) or "no address"


def _describe_thread(thread: threading.Thread) -> str:
    target = getattr(thread, "_target", None) or type(thread)
    name = getattr(target, "__qualname__", type(target).__name__)
    return f"the thread {thread.name!r} ({getattr(target, '__module__', '?')}.{name})"


def _describe_task(task: str) -> str:
    try:
        name = Path(f"/proc/self/task/{task}/comm").read_text().strip()
    except OSError:
        name = "?"
    return f"a thread that is not Python's ({name!r})"
