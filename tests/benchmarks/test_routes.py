"""The sites that are measured are sites, of as many routes as their names say."""

from pathlib import Path

import pytest

from benchmarks.routes import KINDS, TRIVET, routes_of
from trivet_common.config import load


@pytest.mark.parametrize(("kind", "routes"), [*zip(KINDS, (2, 1000, 1000, 102), strict=True)])
def test_each_is_a_site(kind: str, routes: int, tmp_path: Path) -> None:
    lines = "\n".join(f"  - {line}" for line in routes_of(kind))
    (tmp_path / "trivet.yaml").write_text(TRIVET.format(port=0, folder=tmp_path, routes=lines))
    assert len(load(tmp_path / "trivet.yaml", environ={}).routes) == routes
