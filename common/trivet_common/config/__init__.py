"""The configuration: one YAML file in, frozen Settings out, or every mistake at once with line and cure."""

from .addresses import Listen, Server, TrustedProxies
from .cores import available_cores
from .load import from_mapping, from_overrides, load
from .model import Limits
from .problems import ConfigError, Problem
from .reference import reference_markdown
from .schema import json_schema
from .settings import (
    FilesAction,
    HeaderChanges,
    Log,
    Pool,
    Proxy,
    Queue,
    Redirect,
    Reload,
    Respond,
    Route,
    Settings,
    Spool,
    Upstream,
)

__all__ = [
    "ConfigError",
    "FilesAction",
    "HeaderChanges",
    "Limits",
    "Listen",
    "Log",
    "Pool",
    "Problem",
    "Proxy",
    "Queue",
    "Redirect",
    "Reload",
    "Respond",
    "Route",
    "Server",
    "Settings",
    "Spool",
    "TrustedProxies",
    "Upstream",
    "available_cores",
    "from_mapping",
    "from_overrides",
    "json_schema",
    "load",
    "reference_markdown",
]
