"""Pools: from what is written to what is run, and what about it cannot work."""

import os
import pwd
import re
from pathlib import Path

from .addresses import MAX_UNIX_PATH
from .cores import available_cores
from .draft import Draft
from .env_file import read_env_file
from .fields import count
from .model import SiteKeys
from .model_pools import PoolKeys
from .problems import Mistake, Place, shown
from .reach import why_not_a_file
from .resolve_listen import group_exists, resolve_listeners
from .settings import Pool, Preload, Queue, Reload, Workers

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")
# A pool's folder stands in the run directory, beside these (pool/places.py).
_TAKEN = frozenset({"lock"})
_IDENTIFIER = r"[^\W\d]\w*"
_MODULE = re.compile(rf"{_IDENTIFIER}(\.{_IDENTIFIER})*(:{_IDENTIFIER}(\.{_IDENTIFIER})*(\(\))?)?\Z")
# Their sockets are handed over in one message: SCM_MAX_FD of Linux is 253.
MOST_PRELOADED_THREADS = 200
# How long (s) a backend may take to start again.
_RESTART = 10.0
# w<incarnation>.<slot>.sock in a folder of the pool's name.
_SLOT_SOCKET = len("/w1234567890.255.sock")


def resolve_pools(site: SiteKeys, draft: Draft) -> dict[str, Pool]:
    """Every pool that can be understood."""
    return {name: _pool(name, keys, site.stop_timeout, draft) for name, keys in site.pools.items()}


def _pool(name: str, keys: PoolKeys, stop_timeout: float, draft: Draft) -> Pool:
    loc = ("pools", name)
    check = draft.checks_applications
    if not _NAME.match(name):
        draft.mistake(loc, "a pool's name has letters, digits, - and _, at most 32", "choose another name")
    elif name in _TAKEN:
        draft.mistake(loc, f"a file of the run directory is called {name}", "choose another name")
    directory = draft.folder(keys.directory, *loc, "directory", check=check)
    _check_app(keys.app, directory, draft, name)
    paths = [
        draft.folder(text, *loc, "python_path", index, check=check)
        for index, text in enumerate(keys.python_path)
    ]
    env_file, env = _environment(name, keys, draft)
    if check:
        _check_user(name, keys, draft)
    return Pool(
        name=name,
        where=str(draft.place(*loc)),
        app=keys.app,
        directory=directory,
        python_path=tuple(paths),
        env=env,
        env_file=env_file,
        user=keys.user,
        group=keys.group,
        prepare=keys.prepare,
        workers=_workers(name, keys, draft),
        threads=keys.threads,
        timeout=keys.timeout,
        queue=_queue(keys, stop_timeout, draft),
        listen=resolve_listeners(keys.listen, draft, *loc, "listen", check=check),
        reload=Reload(keys.reload.timeout, keys.reload.ready, keys.reload.surge),
        kill_grace=keys.kill_grace,
        after_timeout=keys.after_timeout,
        retry=keys.retry,
        max_requests=keys.max_requests,
        max_memory=keys.max_memory,
        preload=_preload(name, keys, draft),
        post_fork=keys.post_fork,
        worker_exit=keys.worker_exit,
        server_timing=keys.server_timing,
    )


def _queue(keys: PoolKeys, stop_timeout: float, draft: Draft) -> Queue:
    """Halves are restarted one without the other, and the old backend may take its time to stop."""
    timeout = keys.queue.timeout
    if draft.purpose != "serve" and "timeout" not in keys.queue.model_fields_set:
        timeout = max(timeout, stop_timeout + _RESTART)
    return Queue(keys.queue.limit, timeout)


def _workers(name: str, keys: PoolKeys, draft: Draft) -> Workers:
    written = keys.workers
    if written is None:
        number = _default_workers(draft)
        return Workers(number, number)
    loc = ("pools", name, "workers")
    if written.min > written.max:
        draft.mistake(
            (*loc, "min"),
            f"at least {written.min} and at most {written.max} is not possible",
            f"write min: {written.max}, max: {written.min}",
        )
    elif written.min == written.max and written.model_fields_set & {"wait", "idle", "memory"}:
        draft.warning(loc, "min and max are alike, so that the pool never grows", "write a smaller min")
    return Workers(written.min, written.max, written.wait, written.idle, written.memory)


def _preload(name: str, keys: PoolKeys, draft: Draft) -> Preload | None:
    if keys.preload is None:
        return None
    if keys.threads > MOST_PRELOADED_THREADS:
        draft.mistake(
            ("pools", name, "threads"),
            f"a preloaded worker has at most {MOST_PRELOADED_THREADS} threads, not {keys.threads}",
            "write more workers, or leave preload out",
        )
    return Preload(keys.preload.threads == "allow")


def _check_app(app: str, directory: Path, draft: Draft, name: str) -> None:
    loc = ("pools", name, "app")
    file, colon, target = app.partition(":")
    if file.endswith(".py"):
        if draft.checks_applications and (reason := why_not_a_file(directory / file)):
            draft.mistake(loc, reason, "write the file's path relative to directory:")
        if colon and not _MODULE.match(f"x:{target}"):
            draft.mistake(
                loc, f'"{shown(target)}" is not the name of a callable', f"write {shown(file)}:application"
            )
    elif "/" in app:
        dotted = app.strip("./").replace("/", ".")
        draft.mistake(loc, f'"{shown(app)}" is neither a module nor a .py file', f"write {shown(dotted)}")
    elif not _MODULE.match(app):
        draft.mistake(
            loc,
            f'"{shown(app)}" is not an application',
            "write module, module:callable, module:factory() or file.py",
        )
    elif re.search(r"\basgi\b", app):
        draft.warning(
            loc,
            f'"{shown(app)}" looks like an ASGI application, and pools run WSGI',
            "run its server as an upstream",
        )


def _environment(name: str, keys: PoolKeys, draft: Draft) -> tuple[Path | None, dict[str, str]]:
    if keys.env_file is None:
        return None, dict(keys.env)
    loc = ("pools", name, "env_file")
    if not draft.checks_applications:
        return draft.path(keys.env_file, *loc), dict(keys.env)
    before = draft.findings.mistake_count
    path = draft.file(keys.env_file, *loc)
    if draft.findings.mistake_count > before:
        return path, dict(keys.env)
    place = draft.place(*loc)
    shown_as = os.path.join(os.path.dirname(place.file), keys.env_file)
    # Its mistakes stand in the report after those of all YAML files.
    variables = read_env_file(path, shown_as, 10_000 + max(place.order, 0), draft.findings)
    return path, {**variables, **keys.env}


def _check_user(name: str, keys: PoolKeys, draft: Draft) -> None:
    if keys.user is not None and not _user_exists(keys.user):
        draft.mistake(
            ("pools", name, "user"),
            f"there is no user {shown(keys.user)} on this machine",
            "name one of /etc/passwd",
        )
    if keys.group is not None and not group_exists(keys.group):
        draft.mistake(
            ("pools", name, "group"),
            f"there is no group {shown(keys.group)} on this machine",
            "name one of /etc/group",
        )


def _user_exists(name: str) -> bool:
    if name.isdecimal():
        return True
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _default_workers(draft: Draft) -> int:
    written = draft.environ.get("WEB_CONCURRENCY", "")
    if not written:
        return 2 * available_cores()
    try:
        number: int = count(1, 1024).parse(written)
    except Mistake as mistake:
        draft.findings.mistake(Place(-1, "$WEB_CONCURRENCY", 0), mistake.message, mistake.hint)
        return 1
    return number


def check_run_dir(run_dir: Path, pools: dict[str, Pool], draft: Draft) -> None:
    """The names of slot sockets must fit into sun_path."""
    longest = max((len(name) for name in pools), default=0)
    room = MAX_UNIX_PATH - longest - 1 - _SLOT_SOCKET
    if len(os.fsencode(run_dir)) > room:
        draft.mistake(
            ("run_dir",),
            f"the path is too long for the sockets in it (at most {room} bytes here)",
            "use a shorter path",
        )
