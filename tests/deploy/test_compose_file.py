"""A compose file: every service hardened, the volume shared, the order of starting."""

from typing import Any

import yaml

from trivet_deploy.compose_file import files
from trivet_deploy.container_plan import Plan

PLAN = Plan("shop", "deploy/trivet.yaml", ("web", "api"), "/run/trivet/site", 25.0, None)


def compose(plan: Plan = PLAN) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files(plan)["docker-compose.yml"])
    return found


def test_a_service_for_the_proxy_and_each_pool() -> None:
    services = compose()["services"]
    assert list(services) == ["proxy", "web", "api"]
    assert services["proxy"]["ports"] == ["8080:8080"]
    assert set(services["proxy"]["depends_on"]) == {"web", "api"}
    assert services["api"]["command"] == ["trivet", "backend", "--pool", "api"]
    assert services["api"]["healthcheck"]["test"][-2:] == ["--for", "backend"]
    assert "ports" not in services["web"]


def test_every_service_is_hardened_and_leaves_in_time() -> None:
    for service in compose()["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["stop_grace_period"] == "35s"
        assert service["volumes"] == ["run:/run/trivet"]
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert service["environment"]["TRIVET_FILE"] == "/srv/site/deploy/trivet.yaml"


def test_a_site_without_pools_waits_for_nobody() -> None:
    (proxy,) = compose(PLAN._replace(pools=()))["services"].values()
    assert "depends_on" not in proxy
