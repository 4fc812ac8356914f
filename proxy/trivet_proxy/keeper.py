"""Has the assets of a folder kept whenever another directory stands at its path.

Decides when, and what is said about what went wrong; which assets and where is the store's matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from . import disk
from .folder import LOOK_AGAIN, Folder
from .kept_assets import KeptAssets

_MANIFEST_PATIENCE = 10.0  # seconds until a tree is kept without what its manifest would say
_SOON = 0.05
_AGAIN = 600.0  # seconds until what could not be kept is tried again: disks are emptied


class Keeper:
    """Has the tree of a folder kept: at once, and whenever the folder is another directory."""

    __slots__ = ("_folder", "_kept", "_said", "_scope", "_tell")

    def __init__(self, folder: Folder, kept: KeptAssets, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._kept = kept
        self._tell = tell
        self._said = ""
        self._scope = trio.CancelScope()

    def stop(self) -> None:
        self._scope.cancel()

    async def run(self) -> None:
        taken: object = None
        again = math.inf
        with self._scope:
            while True:
                await self._folder.look()
                if self._folder.identity != taken or trio.current_time() >= again:
                    taken = self._folder.identity
                    is_kept = await self._is_taken()
                    again = math.inf if is_kept else trio.current_time() + _AGAIN
                await trio.sleep(LOOK_AGAIN)

    async def _is_taken(self) -> bool:
        with trio.move_on_after(_MANIFEST_PATIENCE):
            while not self._folder.is_read:
                await trio.sleep(_SOON)
        try:
            root = self._folder.pin()
        except OSError:
            return True  # there is none; who asks for its files says so
        try:
            listed = self._folder.hashed_names
            # Who stops it does not wait for a gigabyte to be copied.
            pause = trio.from_thread.check_cancelled
            problem = await disk.run(lambda: self._kept.take(root, listed, pause))
        except OSError as error:
            problem = f"assets cannot be kept in {self._kept.path}: {error.strerror}"
        except Exception as error:  # one tree, however odd, must not end the process that serves it
            problem = f"assets cannot be kept in {self._kept.path}: {error!r}"
        finally:
            root.close()
        if problem and problem != self._said:
            self._tell(problem)
        self._said = problem
        return not problem
