"""A pool's master as a process of its own: `python -m tests.backend.serve_pool FILE RUN_DIR`."""

import sys
from pathlib import Path

from trivet_backend.master import PoolMaster
from trivet_common.config import Pool, Settings, load
from trivet_common.logs import ErrorLog
from trivet_common.pool.places import RunDir


def main(file: Path, run_dir: Path) -> int:
    def read() -> tuple[Pool, Settings]:
        settings = load(file)
        return settings.pools["web"], settings

    pool, settings = read()
    run = RunDir(run_dir)
    run.create()
    log = ErrorLog(settings.log.error, "pool web")  # type: ignore[arg-type]
    return PoolMaster(
        pool, settings, run.pool("web"), log=log, reload_source=lambda loop, then: then(read)
    ).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
