"""The text of a docker-compose.yml: the proxy, a service for each pool, and the volumes they share.

Owns the services' limits and rights. What differs from site to site comes from the plan.
"""

from pathlib import PurePosixPath
from typing import Any

from .container_plan import PORT, UID, Plan, as_yaml, dockerfile

# Beyond stop_timeout, before the engine kills.
_MARGIN = 10
_HEADER = """\
# docker compose up -d --wait         {name} on port {port}
# docker compose up -d --build POOL   a new version of a pool: requests wait in the proxy meanwhile
# What the application writes needs a volume of its own beside `run`: everything else is read-only.

"""


def files(plan: Plan) -> dict[str, str]:
    """By name, relative to the folder of the site's file."""
    header = _HEADER.format(name=plan.name, port=PORT)
    return {"docker-compose.yml": header + as_yaml(_compose(plan)), "Dockerfile": dockerfile(plan)}


def _compose(plan: Plan) -> dict[str, Any]:
    pools = {pool: _backend(plan, pool) for pool in plan.pools}
    options = f"uid={UID},gid={UID},mode=0700,size=128m"
    run = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options}}
    return {"services": {"proxy": _proxy(plan), **pools}, "volumes": {"run": run, "spool": None}}


def _proxy(plan: Plan) -> dict[str, Any]:
    service = _service(plan, plan.proxy, "proxy")
    service["ports"] = [f"{PORT}:{PORT}"]
    service["tmpfs"] = ["/tmp:mode=1777,size=64m", "/var/tmp:mode=1777,size=256m"]
    if plan.pools:
        service["depends_on"] = {pool: {"condition": "service_healthy"} for pool in plan.pools}
    return service | {"mem_limit": "512m", "pids_limit": 128}


def _backend(plan: Plan, pool: str) -> dict[str, Any]:
    service = _service(plan, plan.backend(pool), "backend")
    service["tmpfs"] = ["/tmp:mode=1777,size=256m"]
    service["healthcheck"]["start_period"] = "120s"  # `prepare` may migrate a database
    return service | {"mem_limit": "1g", "pids_limit": 256}


def _service(plan: Plan, command: list[str], half: str) -> dict[str, Any]:
    return {
        "image": plan.name,
        "build": ".",
        "command": command,
        "environment": plan.environment,
        "restart": "unless-stopped",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "stop_grace_period": f"{round(plan.stop_timeout) + _MARGIN}s",
        "volumes": [f"run:{PurePosixPath(plan.run_dir).parent}"],
        "healthcheck": {
            "test": ["CMD", *plan.probe("ready", half)],
            "interval": "5s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "30s",
        },
    }
