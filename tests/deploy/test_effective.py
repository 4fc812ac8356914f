"""`serve --show-config`: what it prints means what it was made from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import trustme
import yaml

from trivet_common.config import from_mapping, load
from trivet_deploy.effective import as_yaml

SITE: dict[str, Any] = {
    "listen": ["127.0.0.1:8000", {"address": "unix:http.sock", "mode": "0660", "name": "local"}],
    "run_dir": "/run/shop",
    "trusted_proxies": ["10.0.0.0/8", "unix"],
    "limits": {"body_rate": "off", "connections_per_client": 20},
    "log": {"access": "off", "format": "json"},
    "upstreams": {
        "old": {"servers": ["http://127.0.0.1:9000", "unix:old.sock"]},
        "new": {
            "servers": [{"address": "https://a:1", "weight": 2}, {"address": "https://b", "backup": True}],
            "tls": {"name": "new.example"},
            "balance": "round_robin",
            "connect_timeout": "1s",
            "response_timeout": "off",
            "read_timeout": "2m",
            "max_connections": 7,
            "queue": {"limit": 3, "timeout": "4s"},
            "fall": "off",
            "retry": {"attempts": 3, "on": ["connect", "504"]},
        },
    },
    "defaults": {"errors": {404: {"json": "none"}, 502: "off"}},
    "routes": [
        {
            "path": "/static/",
            "files": ".",
            "response_headers": {"set": {"X-A": ["1", "2"]}, "remove": ["x-b"]},
        },
        {"host": "*.example.com", "redirect": {"to": "https://example.com{uri}", "permanent": True}},
        {"path": "/see", "redirect": {"to": "/there", "status": 303}, "log": "off"},
        {
            "path": "/api/",
            "upstream": "old",
            "strip_prefix": "/api/",
            "rewrite": {"from": "^/v1/(.*)$", "to": "/{1}?"},
            "request_headers": {
                "set": {"Host": "inner", "X-A": ["1", "{uri}"]},
                "default": {"X-B": "{client}"},
                "remove": "Cookie",
            },
            "log": {"file": "api.log", "client": "masked"},
        },
        {"path_regex": "^/u/(.*)$", "pool": "web", "rewrite": "/{1}", "log": {"client": "masked"}},
        {"path": "/old/", "upstream": "old", "timeout": "off", "stream": True},
        {"path": "/new/", "upstream": "new", "tunnel_timeout": "5m"},
        {"path": "/own/", "upstream": ["http://127.0.0.1:9"]},
        {"scheme": "http", "path": "/here", "respond": "plain"},
        {"path": "/inside", "respond": "plain", "listener": ["local", "127.0.0.1:8000"]},
        {"path": "/there", "respond": "x", "hsts": {"age": "1y", "subdomains": True, "preload": True}},
        {
            "path_regex": "^/asked/(\\d+)$",
            "methods": ["GET", "POST"],
            "headers": {"X-A": True, "X-B": "true", "X-C": False, "X-D": "~^a"},
            "query": {"a": "1"},
            "client": ["10.0.0.0/8", "unix"],
            "redirect": "/{1}",
        },
        {
            "path": "/office",
            "respond": "x",
            "allow": ["10.0.0.0/8", "unix"],
            "deny": ["10.9.0.0/16", "0.0.0.0/0"],
            "rate_limit": ["10/s", {"rate": "400/m", "burst": 0, "key": "header:X-Key"}],
            "forward_auth": {
                "url": "http://127.0.0.1:9091/verify",
                "copy": "Remote-User",
                "redirect": "/login",
            },
        },
        {"path": "/asked", "respond": "x", "forward_auth": {"pool": "web", "path": "/auth", "timeout": "1s"}},
        {"path": "/gone", "respond": {"status": 410, "body": "gone", "headers": {"X-C": "3"}}},
        {
            "path": "/pages/",
            "upstream": "old",
            "compress": True,
            "errors": {502: {"json": {"a": [1, None]}}, "5xx": {"intercept": True}, 404: "off"},
            "maintenance": {"when": "on", "except": ["10.0.0.0/8", "unix"], "retry_after": "2m"},
        },
        {"path": "/closed", "respond": "x", "maintenance": {"when": "on", "retry_after": "off"}},
        {"path": "/bare", "respond": "x", "errors": "off"},
        {"path": "/healthz", "health": "live", "log": False},
        {"path": "/", "pool": "web", "mount": False, "limits": {"body": "1MiB"}},
    ],
    "pools": {
        "web": {
            "app": "x:app",
            "env": {"COLOUR": "green", "DATABASE_URL": "postgres://u:secret@db/x", "API_TOKEN": "t0p"},
            "prepare": ["true"],
            "listen": "127.0.0.1:9001",
            "timeout": "1m",
            "workers": {"min": 2, "max": 8, "memory": "2GiB"},
            "preload": {"threads": "allow"},
            "max_memory": "300MiB",
            "max_requests": 5000,
            "retry": "idempotent",
            "kill_grace": "500ms",
            "after_timeout": "keep",
            "post_fork": "x:connect",
            "worker_exit": "x:close",
            "server_timing": True,
            "reload": {"ready": "/healthz", "surge": 2},
        }
    },
}


def test_it_can_be_served_as_a_file(tmp_path: Path) -> None:
    site = SITE | {"pools": {"web": SITE["pools"]["web"] | {"env": {"COLOUR": "green"}}}}
    settings = from_mapping(site, base=tmp_path, environ={})
    file = tmp_path / "again.yaml"
    file.write_text(as_yaml(settings))
    again = load(file, environ={})
    assert as_yaml(again).split("\n", 1)[1] == as_yaml(settings).split("\n", 1)[1]
    assert again.limits == settings.limits
    assert replace(again.pools["web"], where="") == replace(settings.pools["web"], where="")
    assert again.upstreams["old"].servers[1].path == settings.upstreams["old"].servers[1].path
    assert again.upstreams["new"] == settings.upstreams["new"]
    for one, other in zip(again.routes, settings.routes, strict=True):
        assert (one.timeout, one.read_timeout) == (other.timeout, other.read_timeout)
        assert one.tunnel_timeout == other.tunnel_timeout
        assert one.access == other.access
        assert (one.errors, one.maintenance, one.compress) == (
            other.errors,
            other.maintenance,
            other.compress,
        )
    assert again.errors == settings.errors
    assert [route.respond for route in again.routes] == [route.respond for route in settings.routes]


def test_tls_can_be_served_again(tmp_path: Path) -> None:
    ca = trustme.CA()
    (tmp_path / "site.pem").write_bytes(ca.issue_cert("a.example").private_key_and_cert_chain_pem.bytes())
    (tmp_path / "site.pem").chmod(0o600)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = {
        "certificates": [{"certificate": "site.pem", "hosts": ["*.a.example"]}],
        "strict": True,
        "client": "required",
        "client_ca": "ca.pem",
        "handshake_timeout": "3s",
    }
    site = {"listen": {"address": "127.0.0.1:8443", "tls": tls}, "routes": [{"path": "/", "respond": "x"}]}
    written = from_mapping(site, base=tmp_path, environ={})
    file = tmp_path / "again.yaml"
    file.write_text(as_yaml(written))
    assert load(file, environ={}).listen == written.listen


def test_secrets_are_hidden(tmp_path: Path) -> None:
    text = as_yaml(from_mapping(SITE, base=tmp_path, environ={}))
    env = yaml.safe_load(text)["pools"]["web"]["env"]
    assert env == {"COLOUR": "green", "DATABASE_URL": "(hidden)", "API_TOKEN": "(hidden)"}
    assert "t0p" not in text
    assert "postgres" not in text
