"""`make fuzz`: many spoilt requests against the gate, and against a real front with workers.

Prints figures. Whatever is judged wrongly is written to tests/requests/found/, and the exit status is 1.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzzing import memory, wire
from tests.requests import found

_MOST_WRITTEN = 20


def main() -> int:
    options = _options()
    print(f"seed {options.seed}")
    failures = _in_memory(options.inputs, options.seed) if options.inputs else []
    failures += _over_the_wire(options.connections, options.seed) if options.connections else []
    for data, why in failures[:_MOST_WRITTEN]:
        print(f"{found.write(data, why)}: {why[:500]}")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in memory")
    parser.add_argument("--connections", type=int, default=20_000, help="over the wire")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    return parser.parse_args()


def _in_memory(inputs: int, seed: int) -> list[tuple[bytes, str]]:
    begun = time.monotonic()
    figures = memory.run(inputs, seed, lambda so_far: _tell(f"{so_far.inputs} of {inputs} inputs"))
    _tell("")
    print(
        f"in memory: {figures.inputs} inputs in {time.monotonic() - begun:.0f} s, "
        f"{figures.accepted} requests accepted and forwarded, {len(figures.failures)} failures"
    )
    for why, count in figures.verdicts.most_common():
        print(f"  {count:8} {why}")
    return figures.failures


def _over_the_wire(connections: int, seed: int) -> list[tuple[bytes, str]]:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="trivet-fuzz-") as folder:
        figures = wire.run(
            Path(folder),
            connections,
            seed,
            lambda now: _tell(f"{now.connections} of {connections} connections"),
        )
    _tell("")
    print(
        f"over the wire: {figures.connections} connections in {time.monotonic() - begun:.0f} s, "
        f"{figures.requests} requests, {figures.refused} of them refused; forwarded {figures.forwarded}, "
        f"ran {figures.ran}; hung {figures.hung}, tracebacks {figures.tracebacks}, "
        f"{len(figures.failures)} failures"
    )
    return [*figures.failures, *_counted(figures)]


def _counted(figures: wire.Figures) -> Sequence[tuple[bytes, str]]:
    """What no single connection shows."""
    if figures.forwarded != figures.ran or figures.hung or figures.tracebacks:
        said = f"{figures.forwarded} forwarded, {figures.ran} ran, {figures.hung} hung"
        return [(b"", f"{said}, {figures.tracebacks} tracebacks")]
    return []


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
