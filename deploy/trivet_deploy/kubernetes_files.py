"""The text of Kubernetes' manifests: a pod that holds the proxy and every pool, and what surrounds it.

Owns the probes, rights and order of leaving. What differs from site to site comes from the plan.
"""

from pathlib import PurePosixPath
from typing import Any

from .container_plan import PORT, UID, Plan, as_yaml, dockerfile

# How long (s) a pod goes on accepting while the nodes take it out of the Service.
_LINGER = 5
_MARGIN = 10
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def files(plan: Plan) -> dict[str, str]:
    """By name. One file that `kubectl apply` takes, and the image's."""
    documents = (_deployment(plan), _service(plan), _disruption(plan), _autoscaler(plan), _network(plan))
    return {f"{plan.name}.yaml": as_yaml(*documents), "Dockerfile": dockerfile(plan)}


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
    memory = {"medium": "Memory", "sizeLimit": "128Mi"}
    return {
        # The proxy leaves first, then the pools.
        "terminationGracePeriodSeconds": _LINGER + 2 * round(plan.stop_timeout) + _MARGIN,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_proxy(plan), *(_backend(plan, pool) for pool in plan.pools)],
        "volumes": [
            {"name": "run", "emptyDir": memory},
            {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
        ],
    }


def _proxy(plan: Plan) -> dict[str, Any]:
    container = _container(plan, "proxy", plan.proxy, "proxy")
    container["ports"] = [{"name": "http", "containerPort": PORT}]
    container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(_LINGER)]}}}
    container["resources"] = {
        "requests": {"cpu": "250m", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }
    return container


def _backend(plan: Plan, pool: str) -> dict[str, Any]:
    container = _container(plan, _dns(pool), plan.backend(pool), "backend")
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

    return {
        "name": name,
        "image": plan.name,
        "command": command,
        "env": [{"name": name, "value": value} for name, value in plan.environment.items()],
        "startupProbe": probe("ready", 2, 150),
        "livenessProbe": probe("live", 10, 3),
        "readinessProbe": probe("ready", 5, 2),
        "securityContext": _RESTRICTED,
        "volumeMounts": [
            {"name": "run", "mountPath": str(PurePosixPath(plan.run_dir).parent)},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "tmp", "mountPath": "/var/tmp"},
        ],
    }


def _service(plan: Plan) -> dict[str, Any]:
    port = {"name": "http", "port": 80, "targetPort": "http"}
    return _head(plan, "v1", "Service", {"selector": _labels(plan), "ports": [port]})


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
    """In: the proxy's port, and nothing else. Out: as the application needs; that is not in the file."""
    spec = {
        "podSelector": {"matchLabels": _labels(plan)},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": "http", "protocol": "TCP"}]}],
    }
    return _head(plan, "networking.k8s.io/v1", "NetworkPolicy", spec)


def _dns(name: str) -> str:
    """A label of RFC 1123, and not the name of the other container."""
    found = name.lower().replace("_", "-").strip("-") or "pool"
    return f"pool-{found}" if found == "proxy" else found
