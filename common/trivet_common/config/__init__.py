"""The configuration: one YAML file in, frozen Settings out, or every mistake at once with line and cure.

What reads a file (and needs pydantic and PyYAML for it) is imported when first asked for: the processes that
serve get their settings ready-made and never need either.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .addresses import Listen, Server, TrustedProxies
from .cores import available_cores
from .problems import ConfigError, Problem
from .settings import (
    FilesAction,
    HeaderChanges,
    Limits,
    Log,
    Pool,
    Preload,
    Proxy,
    Queue,
    Redirect,
    Reload,
    Respond,
    Retry,
    Route,
    ServerTls,
    Settings,
    Spool,
    Upstream,
    Workers,
)

if TYPE_CHECKING:
    from .loading import from_mapping, from_overrides, load
    from .reference import reference_markdown
    from .schema import json_schema

_LATE = {
    "from_mapping": "loading",
    "from_overrides": "loading",
    "load": "loading",
    "reference_markdown": "reference",
    "json_schema": "schema",
}

__all__ = [
    "ConfigError",
    "FilesAction",
    "HeaderChanges",
    "Limits",
    "Listen",
    "Log",
    "Pool",
    "Preload",
    "Problem",
    "Proxy",
    "Queue",
    "Redirect",
    "Reload",
    "Respond",
    "Retry",
    "Route",
    "Server",
    "ServerTls",
    "Settings",
    "Spool",
    "TrustedProxies",
    "Upstream",
    "Workers",
    "available_cores",
    "from_mapping",
    "from_overrides",
    "json_schema",
    "load",
    "reference_markdown",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f".{_LATE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
