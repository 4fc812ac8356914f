"""The text of Kubernetes' manifests: a pod that holds the proxy and every pool, and what surrounds it.

Owns the probes, rights and order of leaving. What differs from site to site comes from the plan.
"""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from . import container_image
from .container_plan import UID, Mount, Plan, as_yaml
from .refusal import Refusal

# How long (s) a pod goes on accepting while the nodes take it out of the Service.
_LINGER = 5
_MARGIN = 10
_CERTIFICATES, _ENV, _VARIABLES = "certificates", "env", "variables"
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def files(plan: Plan) -> dict[str, str]:
    """By name. One file that `kubectl apply` takes, and the images'. Raises Refusal."""
    if plan.volume == plan.run_dir:
        # Everybody may write into the root of an emptyDir.
        raise Refusal(
            f"run_dir: {plan.run_dir}: in a pod it is /run/FOLDER/NAME; write that, or leave it out"
        )
    documents = (_deployment(plan), _service(plan), _disruption(plan), _autoscaler(plan), _network(plan))
    return {f"{plan.name}.yaml": _header(plan) + as_yaml(*documents), **container_image.files(plan)}


def _header(plan: Plan) -> str:
    lines = [
        "# Give both images a registry's name, and each release a tag: `kubectl rollout undo` needs it.",
        f"# Then: kubectl apply -f {plan.name}.yaml",
    ]
    secrets = {
        _CERTIFICATES: [
            f"--from-file={key}={mount.source}" for key, mount in _keyed(plan.certificates).items()
        ],
        _ENV: [f"--from-file={key}={mount.source}" for key, mount in _keyed(plan.env_files).items()],
        _VARIABLES: [f"--from-literal={name}=..." for name in plan.variables],
    }
    for name, words in secrets.items():
        command = [f"# kubectl create secret generic {plan.name}-{name}", *map(shlex.quote, words)]
        lines += [" \\\n#   ".join(command)] if words else []
    return "\n".join([*lines, "---\n"])


def _head(plan: Plan, api: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": plan.name, "labels": _labels(plan)}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def _labels(plan: Plan) -> dict[str, str]:
    return {"app.kubernetes.io/name": plan.name}


def _deployment(plan: Plan) -> dict[str, Any]:
    spec = {
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": _labels(plan)},
        "template": {"metadata": {"labels": _labels(plan)}, "spec": _pod(plan)},
    }
    return _head(plan, "apps/v1", "Deployment", spec)


def _pod(plan: Plan) -> dict[str, Any]:
    pools = zip(plan.services, plan.pools, strict=True)
    containers = [_proxy(plan), *(_backend(plan, name, pool) for name, pool in pools)]
    return {
        # The proxy leaves first, then the pools.
        "terminationGracePeriodSeconds": _LINGER + 2 * round(plan.stop_timeout) + _MARGIN,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _identity(plan),
        **({"initContainers": [_folders(plan)]} if plan.published else {}),
        "containers": containers,
        "volumes": list(_volumes(plan, [container["name"] for container in containers])),
    }


def _folders(plan: Plan) -> dict[str, Any]:
    """The proxy may come first, and serves files that a pool is about to publish."""
    return {
        "name": "folders",
        "image": f"{plan.name}-proxy",
        "command": ["mkdir", "-p", *plan.published],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": _RESTRICTED,
        "volumeMounts": [{"name": "run", "mountPath": plan.volume}],
    }


def _identity(plan: Plan) -> dict[str, Any]:
    context = {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "fsGroup": UID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if plan.ports.has_privileged:
        context["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return context


def _volumes(plan: Plan, containers: Iterable[str]) -> Iterable[dict[str, Any]]:
    yield {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}}
    yield from ({"name": f"tmp-{name}", "emptyDir": {"sizeLimit": "2Gi"}} for name in containers)
    if plan.state:
        yield {"name": "state", "emptyDir": {"sizeLimit": "2Gi"}}
    for name, mounts in ((_CERTIFICATES, plan.certificates), (_ENV, plan.env_files)):
        if mounts:
            secret = {"secretName": f"{plan.name}-{name}", "defaultMode": 0o440}
            yield {"name": name, "secret": secret}


def _proxy(plan: Plan) -> dict[str, Any]:
    container = _container(plan, "proxy", plan.proxy, "proxy")
    container["ports"] = [{"name": port.name, "containerPort": port.number} for port in plan.ports.published]
    container["volumeMounts"] += _mounted(_CERTIFICATES, plan.certificates)
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(_LINGER)]}}}
    container["resources"] = {
        "requests": {"cpu": "250m", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }
    return container


def _backend(plan: Plan, name: str, pool: str) -> dict[str, Any]:
    container = _container(plan, name, plan.backend(pool), "backend")
    container["volumeMounts"] += _mounted(_ENV, plan.env_files)
    still_there = " ".join(plan.probe("live", "proxy"))
    wait = (
        f"for n in $(seq {_LINGER + round(plan.stop_timeout) + 2}); do {still_there} || break; sleep 1; done"
    )
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", wait]}}}
    container["resources"] = {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}
    return container


def _container(plan: Plan, name: str, command: list[str], half: str) -> dict[str, Any]:
    def probe(question: str, period: int, failures: int) -> dict[str, Any]:
        every = {"periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures}
        return {"exec": {"command": plan.probe(question, half)}, **every}

    own = dict.fromkeys(("/tmp", "/var/tmp", plan.spool))
    return {
        "name": name,
        "image": f"{plan.name}-{half}",
        "command": command,
        "env": [{"name": name, "value": value} for name, value in plan.environment.items()],
        **({"envFrom": [{"secretRef": {"name": f"{plan.name}-{_VARIABLES}"}}]} if plan.variables else {}),
        "startupProbe": probe("ready", 2, 150),
        "livenessProbe": probe("live", 10, 3),
        "readinessProbe": probe("ready", 5, 2),
        "securityContext": _RESTRICTED,
        "volumeMounts": [
            {"name": "run", "mountPath": plan.volume},
            *({"name": f"tmp-{name}", "mountPath": path} for path in own),
            *([{"name": "state", "mountPath": plan.state}] if plan.state else []),
        ],
    }


def _keyed(mounts: Sequence[Mount]) -> dict[str, Mount]:
    """By the keys of a Secret: their names, with their folders' where two files have the same."""
    names = [os.path.basename(mount.target) for mount in mounts]
    keys = [
        name if names.count(name) == 1 else mount.target.lstrip("/").replace("/", ".")
        for name, mount in zip(names, mounts, strict=True)
    ]
    return {re.sub(r"[^A-Za-z0-9._-]", "_", key): mount for key, mount in zip(keys, mounts, strict=True)}


def _mounted(volume: str, mounts: Sequence[Mount]) -> list[dict[str, Any]]:
    return [
        {"name": volume, "mountPath": mount.target, "subPath": key, "readOnly": True}
        for key, mount in _keyed(mounts).items()
    ]


def _service(plan: Plan) -> dict[str, Any]:
    ports = [
        {"name": port.name, "port": port.service, "targetPort": port.name} for port in plan.ports.published
    ]
    return _head(plan, "v1", "Service", {"selector": _labels(plan), "ports": ports})


def _disruption(plan: Plan) -> dict[str, Any]:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _labels(plan)}}
    return _head(plan, "policy/v1", "PodDisruptionBudget", spec)


def _autoscaler(plan: Plan) -> dict[str, Any]:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": plan.name},
        "minReplicas": 2,
        "maxReplicas": 10,
        "metrics": [{"type": "Resource", "resource": cpu}],
    }
    return _head(plan, "autoscaling/v2", "HorizontalPodAutoscaler", spec)


def _network(plan: Plan) -> dict[str, Any]:
    """In: the proxy's ports, and nothing else. Out: as the application needs; that is not in the file."""
    ports = [{"port": port.name, "protocol": "TCP"} for port in plan.ports.published]
    spec = {
        "podSelector": {"matchLabels": _labels(plan)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": ports}],
    }
    return _head(plan, "networking.k8s.io/v1", "NetworkPolicy", spec)
