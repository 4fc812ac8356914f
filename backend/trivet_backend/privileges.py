"""Becoming the pool's user: every step checked, then read back (CVE-2014-0240, CVE-2014-8583).

Owns the meaning of `user:` and `group:`. Knows nothing of pools; a failure is an exception, never a worker
that runs on as root.
"""

import grp
import os
import pwd
from typing import NamedTuple


class DropError(Exception):
    """We cannot become that user; the text is one sentence."""


class Identity(NamedTuple):
    """Who the workers are. `groups` are all, `gid` among them."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def find_identity(user: str | None, group: str | None) -> Identity | None:
    """The identity to take on; None: stay (nothing asked for, or we are not root). Raises DropError."""
    if (user is None and group is None) or os.geteuid() != 0:
        return None
    account = _account(user) if user is not None else _own_account()
    gid = account.pw_gid if group is None else _group(group)
    groups = tuple(dict.fromkeys([gid, *os.getgrouplist(account.pw_name, gid)]))
    return Identity(account.pw_name, account.pw_uid, gid, groups, account.pw_dir)


def become(identity: Identity) -> None:
    """Groups, group, user, in this order: afterwards there is no right left to do the others with."""
    try:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise DropError(f"cannot become user {identity.name}: {error.strerror}") from None
    _verify(identity)
    os.environ.update(HOME=identity.home, USER=identity.name, LOGNAME=identity.name)


def _verify(identity: Identity) -> None:
    is_done = (
        os.getresuid() == (identity.uid,) * 3
        and os.getresgid() == (identity.gid,) * 3
        and set(os.getgroups()) <= set(identity.groups)
    )
    if not is_done:
        raise DropError(f"became uid {os.geteuid()}, not all of user {identity.name}")
    if identity.uid == 0:
        return
    try:
        os.setuid(0)
    except PermissionError:
        return
    raise DropError(f"user {identity.name} could become root again")


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise DropError(f"user: there is no user {user} on this machine") from None


def _own_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        raise DropError(f"our own uid {os.geteuid()} has no entry in passwd; name a user") from None


def _group(group: str) -> int:
    try:
        return grp.getgrgid(int(group)).gr_gid if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise DropError(f"group: there is no group {group} on this machine") from None
