"""Manifests: one pod with all halves, its probes and the order in which they leave."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_compose_file import PLAN as COMPOSED
from trivet_deploy.container_plan import Mount, Plan
from trivet_deploy.container_ports import Port, Ports
from trivet_deploy.kubernetes_files import files
from trivet_deploy.refusal import Refusal

PLAN = COMPOSED._replace(
    pools=("web", "Back_Office", "proxy"), services=("web", "back-office", "pool-proxy"), stop_timeout=40.0
)


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


def test_the_files_own_listeners_are_ports_of_the_service_and_of_the_policy() -> None:
    found = documents(PLAN._replace(ports=Ports((Port("http", 80, 80), Port("https", 8443, 443)))))
    pod = found["Deployment"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == ["trivet", "proxy"]
    assert [port["containerPort"] for port in pod["containers"][0]["ports"]] == [80, 8443]
    assert pod["securityContext"]["sysctls"] == [
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    ]
    ports = found["Service"]["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(80, "http"), (443, "https")]
    allowed = found["NetworkPolicy"]["spec"]["ingress"][0]["ports"]
    assert [port["port"] for port in allowed] == ["http", "https"]


def test_secrets_are_mounted_where_they_are_needed_and_how_they_are_made_is_told() -> None:
    certificates = tuple(
        Mount(Path(f"/x/{name}"), f"/srv/site/{name}") for name in ("a/c.pem", "b/c.pem", "k.pem")
    )
    env = (Mount(Path("/x/.env"), "/srv/site/.env"),)
    plan = PLAN._replace(certificates=certificates, env_files=env, variables=("WORD",))
    proxy, web, *_ = documents(plan)["Deployment"]["spec"]["template"]["spec"]["containers"]
    mounted = {each["mountPath"]: each.get("subPath") for each in proxy["volumeMounts"]}
    assert mounted["/srv/site/a/c.pem"] == "srv.site.a.c.pem"
    assert mounted["/srv/site/k.pem"] == "k.pem"
    assert "/srv/site/.env" not in mounted
    assert "/srv/site/.env" in [each["mountPath"] for each in web["volumeMounts"]]
    assert "/srv/site/k.pem" not in [each["mountPath"] for each in web["volumeMounts"]]
    assert web["envFrom"] == proxy["envFrom"] == [{"secretRef": {"name": "shop-variables"}}]
    text = files(plan)["shop.yaml"]
    for line in ("--from-file=k.pem=/x/k.pem", "--from-file=.env=/x/.env", "--from-literal=WORD=..."):
        assert line in text


def test_no_two_containers_share_what_is_temporary() -> None:
    pod = documents()["Deployment"]["spec"]["template"]["spec"]
    names = [[each["name"] for each in one["volumeMounts"]] for one in pod["containers"]]
    assert [set(each) - {"run"} for each in names] == [
        {"tmp-proxy"},
        {"tmp-web"},
        {"tmp-back-office"},
        {"tmp-pool-proxy"},
    ]


def test_a_run_directory_that_everybody_could_write_is_refused() -> None:
    with pytest.raises(Refusal, match="in a pod it is /run/FOLDER/NAME"):
        files(PLAN._replace(run_dir="/srv/site/run", volume="/srv/site/run"))


def test_folders_that_a_pool_fills_are_there_before_the_proxy() -> None:
    pod = documents(PLAN._replace(published=("/run/trivet/static",)))["Deployment"]["spec"]["template"][
        "spec"
    ]
    (first,) = pod["initContainers"]
    assert first["command"] == ["mkdir", "-p", "/run/trivet/static"]
    assert "initContainers" not in documents()["Deployment"]["spec"]["template"]["spec"]
