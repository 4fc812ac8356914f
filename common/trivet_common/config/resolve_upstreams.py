"""Upstreams: from what is written to servers and terms, and what about them cannot work."""

from dataclasses import replace
from pathlib import Path

from .addresses import Server, is_host_name, is_numeric, parse_server
from .draft import Draft
from .model import SiteKeys
from .model_upstreams import ServerKeys, ServerTlsKeys, UpstreamKeys
from .nodes import Loc
from .problems import Mistake, shown
from .settings import Queue, Retry, ServerTls, Upstream


def resolve_upstreams(site: SiteKeys, draft: Draft) -> dict[str, Upstream]:
    """Every upstream that has a name of its own."""
    return {name: _upstream(name, keys, draft) for name, keys in site.upstreams.items()}


def upstream_of_route(route_id: str, addresses: tuple[str, ...], draft: Draft, loc: Loc) -> Upstream:
    """One that is written inside a route."""
    servers = tuple(ServerKeys.model_construct(address=address) for address in addresses)
    return Upstream(route_id, _servers(servers, draft, loc))


def _upstream(name: str, keys: UpstreamKeys, draft: Draft) -> Upstream:
    loc = ("upstreams", name)
    servers = _servers(keys.servers, draft, (*loc, "servers"))
    if servers and all(server.backup for server in servers):
        draft.mistake(
            (*loc, "servers"), "every server is a backup, and of nothing", "take backup: out of one"
        )
    if len({server.text for server in servers}) < len(servers):
        draft.warning((*loc, "servers"), "a server stands there twice", "write weight: 2")
    return Upstream(
        name,
        servers,
        tls=_tls(keys.tls, servers, draft, (*loc, "tls")),
        balance=keys.balance,
        connect_timeout=keys.connect_timeout,
        response_timeout=keys.response_timeout,
        read_timeout=keys.read_timeout,
        max_connections=keys.max_connections,
        queue=_queue(keys, draft, loc),
        fall=keys.fall,
        retry=Retry(keys.retry.attempts, frozenset(keys.retry.on)),
    )


def _servers(written: tuple[ServerKeys, ...], draft: Draft, loc: Loc) -> tuple[Server, ...]:
    parsed = []
    for index, keys in enumerate(written):
        where = (*loc, index, "address") if draft.tree.has(*loc, index, "address") else (*loc, index)
        try:
            server = parse_server(keys.address, draft.tree.at(loc).folder)
        except Mistake as mistake:
            draft.report(where, mistake)
        else:
            parsed.append(replace(server, weight=keys.weight, backup=keys.backup))
    if not written:
        draft.mistake(loc, "there is no server in it", 'write ["http://127.0.0.1:9000"]')
    return tuple(parsed)


def _queue(keys: UpstreamKeys, draft: Draft, loc: Loc) -> Queue:
    if keys.queue.model_fields_set and keys.max_connections is None:
        draft.warning(
            (*loc, "queue"), "without max_connections nobody ever waits", "write max_connections: 100"
        )
    return Queue(keys.queue.limit, keys.queue.timeout)


def _tls(keys: ServerTlsKeys, servers: tuple[Server, ...], draft: Draft, loc: Loc) -> ServerTls:
    if keys.model_fields_set and servers and not any(server.scheme == "https" for server in servers):
        draft.mistake(loc, "no server is asked over https", 'write "https://host:port"')
    ca = draft.file(keys.ca, *loc, "ca", check=draft.checks_front) if keys.ca else None
    if not keys.verify and keys.ca:
        draft.mistake((*loc, "ca"), "nobody's certificate is verified", "take verify: false out")
    elif ca is not None and draft.checks_front and not draft.findings.mistake_count:
        _check_authorities(ca, draft, (*loc, "ca"))
    if keys.name is not None and not (is_host_name(keys.name) or is_numeric(keys.name)):
        draft.mistake(
            (*loc, "name"), f'"{shown(keys.name)}" is not a name', "write for example api.example.com"
        )
    return ServerTls(keys.verify, ca, keys.name)


def _check_authorities(path: Path, draft: Draft, loc: Loc) -> None:
    import ssl  # here: a site without TLS need not load OpenSSL

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):  # an SSLError is an OSError
        draft.mistake(loc, f"{shown(str(path))} holds no certificate (PEM)", "name the file of a CA")
