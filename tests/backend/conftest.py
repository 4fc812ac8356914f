import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.pools import PoolProcess, is_alive, until


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[PoolProcess]:
    found = PoolProcess(tmp_path)
    yield found
    if found.process is not None:
        workers = found.pids() if found.process.poll() is None and found.is_up() else []
        found.stop(signal.SIGKILL)
        for pid in workers:
            until(lambda pid=pid: not is_alive(pid))
