"""Manifests: one pod with all halves, its probes and the order in which they leave."""

from typing import Any

import yaml

from trivet_deploy.container_plan import Plan
from trivet_deploy.kubernetes_files import files

PLAN = Plan("shop", "trivet.yaml", ("web", "Back_Office", "proxy"), "/run/trivet/site", 40.0, None)


def documents(plan: Plan = PLAN) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all(files(plan)["shop.yaml"])}


def test_everything_is_there_under_one_name() -> None:
    found = documents()
    assert set(found) == {
        *("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy")
    }
    assert {each["metadata"]["name"] for each in found.values()} == {"shop"}


def test_a_container_for_the_proxy_and_each_pool() -> None:
    pod = documents()["Deployment"]["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["containers"]] == ["proxy", "web", "back-office", "pool-proxy"]
    assert pod["containers"][2]["command"] == ["trivet", "backend", "--pool", "Back_Office"]
    assert pod["terminationGracePeriodSeconds"] == 95


def test_probes_are_of_one_half_alone() -> None:
    proxy, web, *_ = documents()["Deployment"]["spec"]["template"]["spec"]["containers"]
    for container, half in ((proxy, "proxy"), (web, "backend")):
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[name]["exec"]["command"][-2:] == ["--for", half]
    assert web["lifecycle"]["preStop"]["exec"]["command"][:2] == ["sh", "-c"]
    assert "--probe live --for proxy" in web["lifecycle"]["preStop"]["exec"]["command"][2]
