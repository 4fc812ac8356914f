"""What workers had on their boards when they were killed: kept by a second name for each board's file.

Between a slot's word that it enters the application and the application's first own line lie some 50 us, more
where threads take turns. A request killed there left no line, and had entered all the same, says the board.
"""

import os
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from trivet_common.pool.board import SlotState, read_board


class LastWords:
    """`with LastWords(pool_folder, keep)`: every board that comes is kept. `entered` reads them all."""

    def __init__(self, pool: Path, keep: Path) -> None:
        self._pool = pool
        self._keep = keep
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        keep.mkdir()

    def __enter__(self) -> "LastWords":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(10)

    def entered(self) -> set[str]:
        """The marks of requests that were in the application at a worker's end."""
        found = set()
        for path in self._keep.iterdir():
            for slot in read_board(path).slots:
                if slot.state is SlotState.RUNNING and slot.entered == slot.number:
                    found |= set(parse_qs(urlsplit(slot.path).query).get("mark", []))
        return found

    def _run(self) -> None:
        while not self._is_over.wait(0.01):
            for path in self._pool.glob("w*.board"):
                try:
                    os.link(path, self._keep / path.name)
                except (FileExistsError, FileNotFoundError):
                    pass
