"""Ten thousand connections that are kept and say nothing: little memory, and room for others (row 28)."""

from pathlib import Path
from typing import Any

import pytest

from tests.endurance import crowds
from tests.whole.running import Site, running, wait_until

pytestmark = pytest.mark.drill

MOST = crowds.affordable(10_000, 1.5)
MORE = MOST // 4
CONFIG = """
proxy: {processes: 1}
limits: {connections: %d, idle_timeout: 10m}
log: {access: off}
routes: [{path: /here, respond: here}, {path: /small, respond: small}]
"""


def test_ten_thousand_idle_connections_cost_at_most_8_kib_each(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG % (MOST + 50)) as site:
        fronts = crowds.fronts(site)
        crowds.honest(site.port, 2)
        before = crowds.memory(fronts)
        with crowds.swarm(site.port, rate=2000, idle=MOST) as became:
            wait_until(lambda: _process(site)["idle"] >= MOST, 10, "all of them idle")
            each = (crowds.memory(fronts) - before) / MOST / 1024
            beside = crowds.honest(site.port, 3)
            with crowds.swarm(site.port, rate=300, idle=MORE) as later:
                beside_more = crowds.honest(site.port, 3)
                process = _process(site)
    print(f"{MOST} idle connections: {each:.1f} KiB each; {beside}; above the limit {beside_more}")
    print(f"first {became}, later {later}")
    assert each <= 8
    assert beside["failed"] == beside_more["failed"] == 0
    assert became["200"] >= MOST
    # At the limit the longest idle make room for those who come.
    assert process["connections"] <= MOST + 51
    assert became["ended"] >= MORE - 50
    assert later["200"] >= MORE


def _process(site: Site) -> dict[str, Any]:
    process: dict[str, Any]
    (process,) = site.status()["proxy"]["processes"]
    return process
