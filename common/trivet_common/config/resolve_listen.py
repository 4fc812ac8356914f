"""Listeners: from what is written to where to listen, and what cannot be listened on."""

import grp
from dataclasses import replace
from pathlib import Path

from .addresses import Listen, TrustedProxies, parse_listen, parse_networks
from .draft import Draft
from .listener_match import check_names
from .model_listen import ListenKeys
from .nodes import Loc
from .problems import Mistake, shown
from .reach import why_not_a_folder
from .resolve_tls import resolve_tls

_EVERY = (None, "0.0.0.0", "::")


def resolve_listeners(
    written: tuple[ListenKeys, ...], draft: Draft, *loc: str, check: bool = True
) -> tuple[Listen, ...]:
    """All listeners of one list; two equal ones are a mistake."""
    if check:
        check_names(written, draft, loc)
    listeners: list[Listen] = []
    for index, keys in enumerate(written):
        listener = _resolve(keys, draft, (*loc, index), check)
        if listener is None:
            continue
        if check and any(_is_same(listener, other) for other in listeners):
            draft.mistake((*loc, index), f"{shown(listener.address)} is listened on twice", "take one out")
        listeners.append(listener)
    return tuple(listeners)


def _resolve(keys: ListenKeys, draft: Draft, loc: Loc, check: bool) -> Listen | None:
    try:
        listener = parse_listen(keys.address, draft.tree.at(loc).folder)
    except Mistake as mistake:
        draft.report(loc, mistake)
        return None
    if listener.kind != "unix":
        for key, value in (("group", keys.group), ("mode", keys.mode)):
            if value is not None:
                draft.mistake((*loc, key), "only a Unix socket has it", "take it out")
    elif check:
        _check_socket(listener, keys, draft, loc)
    tls = resolve_tls(keys.tls, draft, (*loc, "tls"), check) if keys.tls is not None else None
    scheme = "https" if tls is not None else keys.scheme
    if keys.proxy_protocol and loc[0] == "pools":
        draft.mistake((*loc, "proxy_protocol"), "only a listener of the proxy has it", "take it out")
    if keys.name is not None and loc[0] == "pools":
        draft.mistake((*loc, "name"), "only a listener of the proxy has it", "take it out")
    senders = trusted(keys.proxy_protocol, draft, (*loc, "proxy_protocol")) if keys.proxy_protocol else None
    return replace(
        listener,
        scheme=scheme,
        group=keys.group,
        mode=keys.mode,
        tls=tls,
        proxy_protocol=senders,
        name=keys.name,
    )


def trusted(words: tuple[str, ...], draft: Draft, loc: Loc) -> TrustedProxies:
    """Each word that is no network is a mistake of its own."""
    right = []
    for index, word in enumerate(words):
        try:
            parse_networks([word])
            right.append(word)
        except Mistake as mistake:
            draft.report((*loc, index), mistake)
    return parse_networks(right)


def _check_socket(listener: Listen, keys: ListenKeys, draft: Draft, loc: Loc) -> None:
    assert listener.path is not None
    folder = listener.path.parent
    if not _is_ours(folder, draft) and (reason := why_not_a_folder(folder)):
        draft.mistake(loc, reason, "make the folder, or put the socket into another")
    if keys.group is not None and not group_exists(keys.group):
        draft.mistake(
            (*loc, "group"),
            f"there is no group {shown(keys.group)} on this machine",
            "name one of /etc/group",
        )


def _is_ours(folder: Path, draft: Draft) -> bool:
    """Whether it is the run directory, which is made at the start."""
    own = draft.environ.get("RUNTIME_DIRECTORY", "").split(":")
    written = draft.tree.child("run_dir")
    if written is not None and isinstance(written.value, str):
        own.append(str(written.folder / written.value))
    return any(name and folder == Path(name) for name in own)


def _is_same(one: Listen, other: Listen) -> bool:
    if one.kind != other.kind:
        return False
    if one.kind == "tcp":
        hosts = one.host == other.host or (
            one.host in _EVERY and other.host in _EVERY and None in (one.host, other.host)
        )
        return one.port == other.port and hosts and one.port != 0
    return one.path == other.path and one.fd_name == other.fd_name


def group_exists(name: str) -> bool:
    if name.isdecimal():
        return True
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
