"""Who serves which listening sockets when the process they belong to cannot.

A socket belongs to one process, and what the kernel has accepted on it waits there and nowhere else. Knows
which sockets and which siblings there are, not why a process is missing.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from trivet_common import inflow
from trivet_common.children import Child
from trivet_common.listeners import Listeners


class Custody:
    """For `count` processes. `siblings` are those that may serve others' sockets now."""

    def __init__(self, listeners: Listeners, count: int) -> None:
        self._listeners = listeners
        self._count = count
        self._lent: dict[int, Child] = {}  # whose sockets, and who serves them
        self._closed: set[int] = set()

    def __repr__(self) -> str:
        return f"<Custody lent={sorted(self._lent)} closed={sorted(self._closed)}>"

    def lend(self, index: int, siblings: Iterable[Child]) -> None:
        """Let a sibling serve the sockets of process `index`, too or instead."""
        for child in siblings:
            if child.index != index and index not in self._lent:
                child.tell(b"adopt %d" % index)
                self._lent[index] = child

    def take_back(self, index: int) -> None:
        """Process `index` can be trusted with its sockets again."""
        if index in self._lent:
            self._lent.pop(index).tell(b"return %d" % index)

    def replace(self, gone: Child, siblings: Iterable[Child]) -> None:
        """One is gone that may have served others' sockets."""
        for index in [index for index, child in self._lent.items() if child is gone]:
            del self._lent[index]
            self.lend(index, siblings)

    def end_inflow(self) -> None:
        """All are leaving: accepted by the kernel is from now on only who will be by us."""
        for listener in self._listeners.every():
            if not listener.is_borrowed:
                inflow.end(listener.socket)

    def shut(self, index: int) -> None:
        """Process `index` accepts no more, as all are leaving: refuse whoever comes now.

        Otherwise he would wait for nobody. Not on the sockets of systemd, which are the successor's too.
        """
        self._closed.add(index)
        is_last = len(self._closed) == self._count
        for listener in self._listeners.for_process(index):
            if not listener.is_borrowed and (is_last or not listener.is_shared):
                with contextlib.suppress(OSError):  # shut already
                    # Not close: masters above hold copies, and this ends the listening for all of them.
                    listener.socket.shutdown(socket.SHUT_RDWR)
