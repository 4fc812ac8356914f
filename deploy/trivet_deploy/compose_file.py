"""The text of a docker-compose.yml: the proxy, a service for each pool, and the volumes they share.

Owns the services' limits and rights. What differs from site to site comes from the plan.
"""

import os
from collections.abc import Iterable
from typing import Any

from . import container_image
from .container_plan import UID, Mount, Plan, as_yaml

# Beyond stop_timeout, before the engine kills.
_MARGIN = 10
_HEADER = """\
# docker compose up -d --build --wait            {name} on {ports}
# docker compose up -d --build --wait SERVICE    a new version of a pool: requests wait in the proxy meanwhile
# RELEASE=2 docker compose up -d --build --wait  the same with a name to come back to:
# RELEASE=1 docker compose up -d --wait          the version before, whose images are still here
# What the application writes needs a volume of its own beside `run`: everything else is read-only.

"""
_LOGGING = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


def files(plan: Plan) -> dict[str, str]:
    """By name, relative to the folder of the site's file."""
    ports = ", ".join(str(port.number) for port in plan.ports.published)
    header = _HEADER.format(name=plan.name, ports=f"port{'s' if ',' in ports else ''} {ports}")
    return {"docker-compose.yml": header + as_yaml(_compose(plan)), **container_image.files(plan)}


def _compose(plan: Plan) -> dict[str, Any]:
    names = zip(plan.services, plan.pools, strict=True)
    pools = {service: _backend(plan, pool) for service, pool in names}
    options = f"uid={UID},gid={UID},mode=0700,size=128m"
    run = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options}}
    volumes = {"run": run, "spool": None, **({"state": None} if plan.state else {})}
    return {"services": {"proxy": _proxy(plan), **pools}, "volumes": volumes}


def _proxy(plan: Plan) -> dict[str, Any]:
    service = _service(plan, plan.proxy, "proxy")
    service["ports"] = [f"{port.number}:{port.number}" for port in plan.ports.published]
    if plan.ports.has_privileged:
        # The engine's default since 20.10, for a user without capabilities.
        service["sysctls"] = {"net.ipv4.ip_unprivileged_port_start": "0"}
    service["volumes"] += _mounted(plan.certificate_folders)
    service["tmpfs"] = _tmp(plan, "64m")
    if plan.services:
        service["depends_on"] = {pool: {"condition": "service_healthy"} for pool in plan.services}
    return service | {"mem_limit": "512m", "pids_limit": 128}


def _backend(plan: Plan, pool: str) -> dict[str, Any]:
    service = _service(plan, plan.backend(pool), "backend")
    service["volumes"] += _mounted(plan.env_files)
    service["tmpfs"] = _tmp(plan, "256m")
    service["healthcheck"]["start_period"] = "120s"  # `prepare` may migrate a database
    return service | {"mem_limit": "1g", "pids_limit": 256}


def _service(plan: Plan, command: list[str], half: str) -> dict[str, Any]:
    volumes = [f"run:{plan.volume}", f"spool:{plan.spool}", *([f"state:{plan.state}"] if plan.state else [])]
    return {
        "image": f"{plan.name}-{half}:${{RELEASE:-latest}}",
        "build": {"context": ".", "target": half},
        "command": command,
        "environment": plan.environment | {name: f"${{{name}:?}}" for name in plan.variables},
        "restart": "unless-stopped",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": f"{round(plan.stop_timeout) + _MARGIN}s",
        "logging": _LOGGING,
        "volumes": volumes,
        "healthcheck": {
            "test": ["CMD", *plan.probe("ready", half)],
            "interval": "5s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "30s",
        },
    }


def _tmp(plan: Plan, size: str) -> list[str]:
    return [f"/tmp:mode=1777,size={size}"] if plan.spool != "/tmp" else []


def _mounted(mounts: Iterable[Mount]) -> list[dict[str, Any]]:
    """Not made where they are missing, as the short form would: an empty folder explains nothing."""
    return [
        {
            "type": "bind",
            "source": os.fspath(mount.source).replace("$", "$$"),
            "target": mount.target.replace("$", "$$"),
            "read_only": True,
            "bind": {"create_host_path": False},
        }
        for mount in mounts
    ]
