"""A compose file: every service hardened, volumes and ports as the file has them, the order of starting."""

from pathlib import Path
from typing import Any

import yaml

from trivet_deploy.compose_file import files
from trivet_deploy.container_plan import Mount, Plan
from trivet_deploy.container_ports import Port, Ports

PLAN = Plan(
    name="shop",
    file="deploy/trivet.yaml",
    pools=("web", "api_2"),
    services=("web", "api-2"),
    ports=Ports((Port("http", 8080, 80),), is_given=True),
    run_dir="/run/trivet/site",
    volume="/run/trivet",
    spool="/var/tmp",
    state=None,
    stop_timeout=25.0,
    requirements=None,
)


def compose(plan: Plan = PLAN) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files(plan)["docker-compose.yml"])
    return found


def test_a_service_for_the_proxy_and_each_pool() -> None:
    services = compose()["services"]
    assert list(services) == ["proxy", "web", "api-2"]
    assert services["proxy"]["ports"] == ["8080:8080"]
    assert services["proxy"]["command"][-2:] == ["--listen", "8080"]
    assert set(services["proxy"]["depends_on"]) == {"web", "api-2"}
    assert services["api-2"]["command"] == ["trivet", "backend", "--pool", "api_2"]
    assert services["api-2"]["healthcheck"]["test"][-2:] == ["--for", "backend"]
    assert "ports" not in services["web"]


def test_every_service_is_hardened_and_bounded_and_leaves_in_time() -> None:
    found = compose()
    for service in found["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["stop_grace_period"] == "35s"
        assert service["volumes"] == ["run:/run/trivet", "spool:/var/tmp"]
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert service["environment"]["TRIVET_FILE"] == "/srv/site/deploy/trivet.yaml"
    assert set(found["volumes"]) == {"run", "spool"}


def test_images_have_a_release_to_come_back_to_and_the_proxy_one_of_its_own() -> None:
    services = compose()["services"]
    assert services["proxy"]["image"] == "shop-proxy:${RELEASE:-latest}"
    assert services["web"]["image"] == services["api-2"]["image"] == "shop-backend:${RELEASE:-latest}"
    assert services["proxy"]["build"]["target"] == "proxy"
    assert services["web"]["build"]["target"] == "backend"


def test_the_files_own_listeners_are_published_with_their_certificates() -> None:
    ports = Ports((Port("http", 80, 80), Port("https", 443, 443)))
    certificates = (Mount(Path("/etc/x/live"), "/etc/x/live"),)
    services = compose(PLAN._replace(ports=ports, certificate_folders=certificates))["services"]
    proxy = services["proxy"]
    assert proxy["command"] == ["trivet", "proxy"]
    assert proxy["ports"] == ["80:80", "443:443"]
    assert proxy["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}
    assert proxy["volumes"][-1] == {
        "type": "bind",
        "source": "/etc/x/live",
        "target": "/etc/x/live",
        "read_only": True,
        "bind": {"create_host_path": False},
    }
    # A key is for the proxy alone.
    assert all(isinstance(volume, str) for volume in services["web"]["volumes"])


def test_secrets_of_the_application_are_for_the_pools_alone() -> None:
    plan = PLAN._replace(env_files=(Mount(Path("/x/.env"), "/srv/site/.env"),), variables=("WORD",))
    services = compose(plan)["services"]
    assert services["web"]["volumes"][-1]["target"] == "/srv/site/.env"
    assert all(isinstance(volume, str) for volume in services["proxy"]["volumes"])
    # Both read the file, which has it.
    assert services["web"]["environment"]["WORD"] == services["proxy"]["environment"]["WORD"] == "${WORD:?}"


def test_kept_assets_have_a_volume() -> None:
    found = compose(PLAN._replace(state="/var/lib/shop"))
    assert "state:/var/lib/shop" in found["services"]["proxy"]["volumes"]
    assert "state" in found["volumes"]


def test_a_site_without_pools_waits_for_nobody() -> None:
    (proxy,) = compose(PLAN._replace(pools=(), services=()))["services"].values()
    assert "depends_on" not in proxy


def test_nothing_is_mounted_twice_in_one_place() -> None:
    proxy = compose(PLAN._replace(spool="/tmp"))["services"]["proxy"]
    assert ("spool:/tmp" in proxy["volumes"], proxy["tmpfs"]) == (True, [])
