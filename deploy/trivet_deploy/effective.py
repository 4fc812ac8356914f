"""The configuration as it will be used, in the shape of the file: what `serve --show-config` prints.

Defaults are written out, paths whole, so that the output can be served as a file. Secrets are hidden.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from trivet_common.config import (
    FilesAction,
    HeaderChanges,
    Listen,
    Pool,
    Preload,
    Respond,
    Route,
    ServerTls,
    Settings,
    Upstream,
    Workers,
)
from trivet_common.config.settings_log import RouteLog
from trivet_common.config.settings_rewrite import Rewrite
from trivet_common.config.tls import Tls
from trivet_common.config.units import duration_text, size_text

from .effective_access import access_keys
from .effective_errors import error_keys, maintenance_keys
from .effective_match import match_keys
from .words import networks

_SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|KEY|CREDENTIAL|DSN|_URL\Z", re.IGNORECASE)
Shape = dict[str, Any]


def as_yaml(settings: Settings) -> str:
    """The whole of it."""
    head = f"# {settings.name}" + (f", from {settings.file}" if settings.file else "")
    text: str = yaml.safe_dump(_site(settings), sort_keys=False, allow_unicode=True, width=100)
    return f"{head}\n{text}"


def _site(settings: Settings) -> Shape:
    spool, log, trusted = settings.spool, settings.log, settings.trusted_proxies
    named = {upstream: name for name, upstream in settings.upstreams.items()}
    return _written(
        listen=[_listen(each) for each in settings.listen],
        proxy={"processes": settings.proxy.processes},
        run_dir=_text(settings.run_dir),
        state_dir=_text(settings.state_dir),
        spool={"dir": str(spool.dir), "memory": size_text(spool.memory), "limit": size_text(spool.limit)},
        trusted_proxies=networks(trusted),
        client_ip=settings.client_ip,
        limits=_limits(settings),
        log={
            "access": _text(log.access) or "off",
            "format": log.format,
            "error": str(log.error),
            "level": log.level,
            "client": "masked" if log.is_masked else "whole",
        },
        stop_timeout=duration_text(settings.stop_timeout),
        upstreams={name: _upstream(each) for name, each in settings.upstreams.items()},
        defaults=_written(errors=error_keys(settings.errors)),
        routes=[_route(each, named, settings) for each in settings.routes],
        pools={name: _pool(each) for name, each in settings.pools.items()},
    )


def _limits(settings: Settings) -> Shape:
    limits = settings.limits
    return {
        "header_bytes": size_text(limits.header_bytes),
        "headers": limits.headers,
        "body": size_text(limits.body),
        "header_timeout": duration_text(limits.header_timeout),
        "body_timeout": duration_text(limits.body_timeout),
        "body_rate": f"{size_text(limits.body_rate)}/s" if limits.body_rate else "off",
        "idle_timeout": duration_text(limits.idle_timeout),
        "write_timeout": duration_text(limits.write_timeout),
        "write_rate": f"{size_text(limits.write_rate)}/s" if limits.write_rate else "off",
        "connections": limits.connections,
        "connections_per_client": limits.connections_per_client or "off",
    }


def _listen(listen: Listen) -> Shape:
    return _written(
        address=_address(listen),
        name=listen.name,
        scheme=listen.scheme if listen.tls is None else None,
        group=listen.group,
        mode=None if listen.mode is None else f"{listen.mode:04o}",
        tls=_tls(listen.tls) if listen.tls is not None else None,
    )


def _address(listen: Listen) -> str:
    return f"unix:{listen.path}" if listen.path else listen.address


def _tls(tls: Tls) -> Shape:
    return _written(
        certificates=[
            _written(certificate=str(each.certificate), key=str(each.key), hosts=list(each.hosts))
            for each in tls.pairs
        ],
        strict=tls.strict or None,
        profile=tls.profile,
        client=tls.client,
        client_ca=_text(tls.client_ca),
        handshake_timeout=duration_text(tls.handshake_timeout),
    )


def _hsts(text: str | None) -> Shape | None:
    if text is None:
        return None
    age, *words = text.split("; ")
    return _written(
        age=f"{age.removeprefix('max-age=')}s",
        subdomains="includeSubDomains" in words or None,
        preload="preload" in words or None,
    )


def _addresses(upstream: Upstream) -> list[str]:
    return [f"unix:{server.path}" if server.path else server.text for server in upstream.servers]


def _upstream(upstream: Upstream) -> Shape:
    tls, retry = upstream.tls, upstream.retry
    return _written(
        servers=[
            {"address": address, "weight": server.weight, "backup": server.backup}
            for address, server in zip(_addresses(upstream), upstream.servers, strict=True)
        ],
        tls=_written(verify=tls.verify, ca=_text(tls.ca), name=tls.name) if tls != ServerTls() else None,
        balance=upstream.balance,
        connect_timeout=duration_text(upstream.connect_timeout),
        response_timeout=_duration(upstream.response_timeout),
        read_timeout=_duration(upstream.read_timeout),
        max_connections=upstream.max_connections or "off",
        queue={"limit": upstream.queue.limit, "timeout": duration_text(upstream.queue.timeout)}
        if upstream.max_connections
        else None,
        fall=upstream.fall or "off",
        retry={"attempts": retry.attempts, "on": sorted(retry.on)} if retry.on else "off",
    )


def _timeout(route: Route) -> str | None:
    """Absent where it is that of a named upstream, which has two of them."""
    if route.upstream is not None:
        usual = route.upstream.response_timeout, route.upstream.read_timeout
        return None if (route.timeout, route.read_timeout) == usual else _duration(route.timeout)
    return None if route.pool is None else _duration(route.timeout)


def _route(route: Route, named: dict[Upstream, str], settings: Settings) -> Shape:
    runs_code = route.pool is not None or route.upstream is not None
    return _written(
        host=list(route.host),
        scheme=route.scheme,
        listener=[one.name or _address(one) for one in settings.listen if one.address in route.listener],
        path=route.path,
        **match_keys(route.match),
        **access_keys(route.access),
        files=_files(route.files) if route.files else None,
        file=_text(route.file),
        pool=route.pool,
        mount=route.mount or None,
        upstream=(named.get(route.upstream) or _addresses(route.upstream)) if route.upstream else None,
        redirect={"to": route.redirect.to, "status": route.redirect.status} if route.redirect else None,
        strip_prefix=route.strip_prefix,
        rewrite=_rewrite(route.rewrite) if route.rewrite else None,
        respond=_respond(route.respond) if route.respond else None,
        health=route.health,
        internal=route.internal or None,
        limits={"body": size_text(route.limits.body)} if runs_code else None,
        timeout=_timeout(route),
        tunnel_timeout=duration_text(route.tunnel_timeout) if route.upstream else None,
        stream=route.stream or None,
        log=_route_log(route.log),
        request_headers=_changes(route.request_headers),
        response_headers=_changes(route.response_headers),
        hsts=_hsts(route.hsts),
        errors=error_keys(route.errors, settings.errors),
        maintenance=maintenance_keys(route.maintenance),
        compress=route.compress or None,
    )


def _rewrite(rewrite: Rewrite) -> Shape:
    return {**_written(to=rewrite.to), **({"from": str(rewrite.regex)} if rewrite.regex else {})}


def _route_log(log: RouteLog) -> Shape | str:
    if not log.is_on:
        return "off"
    return _written(file=_text(log.file) or True, client="masked" if log.is_masked else "whole")


def _files(files: FilesAction) -> Shape:
    return _written(
        root=str(files.root),
        index=files.index or "off",
        fallback="next" if files.passes_on else files.fallback,
        listing=files.listing,
        precompressed=files.precompressed or (None if files.uploads else False),
        cache=files.cache or "off",
        types=dict(files.types),
        hidden=files.hidden,
        uploads=files.uploads,
        follow_links=files.follow_links,
        keep_releases=files.keep_releases,
    )


def _respond(respond: Respond) -> Shape:
    body = respond.body.decode("utf-8", "replace") or None
    return _written(status=respond.status, body=body, type=respond.type, headers=_fields(respond.headers))


def _changes(changes: HeaderChanges) -> Shape:
    return _written(
        remove=list(changes.remove),
        set=_fields(changes.set),
        add=_fields(changes.add),
        default=_fields(changes.default),
    )


def _fields(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _pool(pool: Pool) -> Shape:
    reload = pool.reload
    return _written(
        app=pool.app,
        directory=str(pool.directory),
        python_path=[str(path) for path in pool.python_path],
        env={name: "(hidden)" if _SECRET.search(name) else text for name, text in pool.env.items()},
        env_file=_text(pool.env_file),
        user=pool.user,
        group=pool.group,
        prepare=list(pool.prepare),
        workers=_workers(pool.workers),
        threads=pool.threads,
        timeout=_duration(pool.timeout),
        kill_grace=duration_text(pool.kill_grace),
        after_timeout=pool.after_timeout,
        queue={"limit": pool.queue.limit, "timeout": duration_text(pool.queue.timeout)},
        listen=[_listen(each) for each in pool.listen],
        server_timing=pool.server_timing or None,
        retry=pool.retry,
        max_requests=pool.max_requests or "off",
        max_memory=size_text(pool.max_memory) if pool.max_memory else "off",
        preload=_preload(pool.preload) if pool.preload else None,
        post_fork=pool.post_fork,
        worker_exit=pool.worker_exit,
        reload=_written(timeout=duration_text(reload.timeout), ready=reload.ready, surge=reload.surge),
    )


def _workers(workers: Workers) -> int | Shape:
    if workers.is_fixed:
        return workers.min
    return _written(
        min=workers.min,
        max=workers.max,
        wait=duration_text(workers.wait),
        idle=duration_text(workers.idle),
        memory=size_text(workers.memory) if workers.memory else None,
    )


def _preload(preload: Preload) -> bool | Shape:
    return {"threads": "allow"} if preload.threads else True


def _written(**values: Any) -> Shape:
    """A mapping of what would be written: nothing that is absent or empty."""
    return {name: value for name, value in values.items() if value is not None and value not in ([], {})}


def _duration(seconds: float | None) -> str:
    return "off" if seconds is None else duration_text(seconds)


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)
