"""One half of a site as a process: `trivet proxy`, `trivet backend`, and what `serve` runs in its children.

Each half is imported where it runs: a proxy needs no WSGI worker, a pool no trio, `serve` neither.
"""

import os
import pwd
from collections.abc import Callable
from typing import NamedTuple

from trivet_common.channel import Channel
from trivet_common.config import Pool, Settings
from trivet_common.log_target import LogError
from trivet_common.logs import ErrorLog
from trivet_common.loop import Loop
from trivet_common.reloads import Source

from . import screen
from .premises import Premises
from .refusal import USAGE, Refusal
from .site import Site


class Beside(NamedTuple):
    """The other half is run by another user: `uid`, whose claims are believed, of our own `group`."""

    uid: int
    group: int


def beside(user: str | None) -> Beside | None:
    """What `--beside USER` means; None without it. Raises Refusal."""
    if user is None:
        return None
    try:
        found = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        raise Refusal(f"--beside: there is no user {user}", USAGE) from None
    group = os.getegid()
    if found.pw_gid != group and group not in os.getgrouplist(found.pw_name, found.pw_gid):
        raise Refusal(
            f"--beside: {user} is not in our group, gid {group}: by it the run directory is shared", USAGE
        )
    return Beside(found.pw_uid, group)


def open_log(settings: Settings, who: str) -> ErrorLog:
    """The error log, under a process's name. Raises Refusal."""
    try:
        return ErrorLog(settings.log.error, who, settings.log.level)  # type: ignore[arg-type]
    except LogError as error:
        raise Refusal(str(error)) from None


def run_proxy(
    settings: Settings,
    premises: Premises,
    log: ErrorLog,
    parent: Channel | None,
    read: Source[Settings] | None = None,
) -> int:
    """Be the proxy's master until told to stop."""
    from trivet_proxy import master

    assert premises.listeners is not None
    return master.run_proxy(settings, premises.run, premises.listeners, log, parent, read)


def run_pool(
    settings: Settings,
    name: str,
    premises: Premises,
    log: ErrorLog,
    parent: Channel | None,
    read: Source[Settings] | None = None,
    beside: Beside | None = None,
) -> int:
    """Be one pool's master until told to stop."""
    from trivet_backend.master import PoolMaster

    def read_pool(loop: Loop, then: Callable[[Callable[[], tuple[Pool, Settings]]], None]) -> None:
        def chosen(outcome: Callable[[], Settings]) -> tuple[Pool, Settings]:
            new = outcome()
            return new.pools[name], new

        assert read is not None
        read(loop, lambda outcome: then(lambda: chosen(outcome)))

    bound = premises.pool_listeners.get(name)
    return PoolMaster(
        settings.pools[name],
        settings,
        premises.places[name],
        log=log,
        parent=parent,
        listeners=bound.for_process(0) if bound else [],
        proxy_uid=beside.uid if beside else None,
        reload_source=read_pool if read else None,
    ).run()


def proxy(site: Site, beside: Beside | None = None) -> int:
    """`trivet proxy`: this half alone, in this process. Raises Refusal."""
    group = beside.group if beside else None
    premises = Premises(site.settings, site.run_dir, proxy=True, pools=(), group=group)
    premises.take()
    try:
        screen.tell(screen.overview(site, premises))
        screen.warn(site.settings, pools=())
        return run_proxy(site.settings, premises, open_log(site.settings, "proxy"), None, site.read)
    finally:
        premises.leave()


def backend(site: Site, name: str, beside: Beside | None = None) -> int:
    """`trivet backend`: one pool alone, in this process. Raises Refusal."""
    if name not in site.settings.pools:
        known = ", ".join(site.settings.pools) or "none"
        raise Refusal(f"{site.asked} has no pool {name}; its pools: {known}", USAGE)
    group = beside.group if beside else None
    premises = Premises(site.settings, site.run_dir, proxy=False, pools=[name], group=group)
    premises.take()
    try:
        screen.tell(screen.overview(site, premises))
        screen.warn(site.settings, pools=[name])
        log = open_log(site.settings, f"pool {name}")
        return run_pool(site.settings, name, premises, log, None, site.read, beside)
    finally:
        premises.leave()
