"""A site as the command meant it: its settings, its run directory, and how to read it all again.

The one place where a file, `module:app` and the options of the command become one thing.
"""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from trivet_common.config import ConfigError, Settings
from trivet_common.reloads import Source

from .apart import begin_apart, run_apart
from .refusal import USAGE, Refusal
from .whereabouts import default_run_dir, find_file, is_app, name_of_app

POOL_OF_APP = "web"
TLS_ADDRESS = "127.0.0.1:8443"  # where --tls-dev serves
# With --reload, where nobody says how many: each is loaded anew at each change. Two, since a page may ask its
# own server something.
FEW_WORKERS = "2"


class Site(NamedTuple):
    """`asked` is what the user would write again: the file or the application. `read` loads it anew."""

    settings: Settings
    run_dir: Path
    asked: str
    read: Source[Settings]
    is_development: bool = False


class Options(NamedTuple):
    """Options of `serve` that stand above what the file says. Their values are checked with the file's."""

    listen: Sequence[str] = ()
    workers: str | None = None
    threads: str | None = None
    timeout: str | None = None
    chdir: str | None = None
    env: Sequence[str] = ()
    files: Sequence[str] = ()
    reload: bool = False
    certificate: str | None = None  # with its key, for all addresses

    def overrides(self, pool: str) -> dict[str, Any]:
        """The options in the shape of the file."""
        keys = {
            "workers": self.workers,
            "threads": self.threads,
            "timeout": self.timeout,
            "directory": self.chdir,
        }
        of_pool: dict[str, Any] = {key: value for key, value in keys.items() if value is not None}
        if self.env:
            of_pool["env"] = dict(_split(pair, "-e", "NAME=value") for pair in self.env)
        overrides: dict[str, Any] = {"pools": {pool: of_pool}} if of_pool else {}
        if self.certificate is not None:
            tls = {"certificate": self.certificate}
            overrides["listen"] = [{"address": each, "tls": tls} for each in self.listen or (TLS_ADDRESS,)]
        elif self.listen:
            overrides["listen"] = list(self.listen)
        if self.files:
            pairs = [_split(pair, "--files", "/static/=FOLDER") for pair in self.files]
            overrides["routes"] = [{"path": path, "files": {"root": folder}} for path, folder in pairs]
        return overrides


def load_site(
    argument: str | None,
    options: Options = Options(),  # noqa: B008 (a tuple: nobody can change it)
    *,
    environ: Mapping[str, str] = os.environ,
    purpose: str = "serve",
) -> Site:
    """Load what is meant. Raises Refusal and ConfigError."""
    if options.reload:
        environ = {"WEB_CONCURRENCY": FEW_WORKERS, **environ}
    if is_app(argument):
        assert argument is not None
        return _load_app(argument, options, environ)
    file = find_file(argument, environ)
    overrides = options.overrides("*") or None

    def load_it(is_restart: bool = False) -> Settings:
        from trivet_common.config import load

        return load(file, environ=environ, overrides=overrides, purpose=purpose, is_restart=is_restart)

    try:
        return _site(load_it, os.fspath(file), options, environ)
    except ConfigError as error:
        # Who writes a file is told what is wrong. Where a run was killed nobody may be there to be told, and
        # a certificate that has broken since must not keep the rest from being served.
        try:
            site = _site(functools.partial(load_it, True), os.fspath(file), options, environ)
        except ConfigError:
            raise error from None
        if not _was_killed(site.run_dir):
            raise
        return site._replace(read=_source(_developed(load_it, options)))


def _load_app(app: str, options: Options, environ: Mapping[str, str]) -> Site:
    overrides = options.overrides(POOL_OF_APP)
    overrides.setdefault("pools", {}).setdefault(POOL_OF_APP, {})["app"] = app
    name = name_of_app(app)

    def load_it() -> Settings:
        from trivet_common.config import from_overrides

        return from_overrides(overrides, name=name, environ=environ)

    return _site(load_it, app, options, environ)


def _site(load_it: Callable[[], Settings], asked: str, options: Options, environ: Mapping[str, str]) -> Site:
    load_it = _developed(load_it, options)
    settings = run_apart(load_it)
    return Site(settings, _run_dir(settings, environ), asked, _source(load_it), options.reload)


def _source(load_it: Callable[[], Settings]) -> Source[Settings]:
    return lambda loop, then: begin_apart(load_it, loop, then)


def _developed(load_it: Callable[[], Settings], options: Options) -> Callable[[], Settings]:
    return (lambda: _in_development(load_it())) if options.reload else load_it


def _in_development(settings: Settings) -> Settings:
    """The same with pools that show a broken application as a page, and are renewed all at once."""
    pools = {
        name: replace(pool, is_development=True, reload=replace(pool.reload, surge=pool.workers.max))
        for name, pool in settings.pools.items()
    }
    return replace(settings, pools=pools)


def _was_killed(run_dir: Path) -> bool:
    """Whether a proxy's run has ended here without leaving: its lock is removed last."""
    return (run_dir / "proxy.lock").exists()


def _run_dir(settings: Settings, environ: Mapping[str, str]) -> Path:
    return settings.run_dir or default_run_dir(settings.name, environ, os.geteuid())


def _split(pair: str, option: str, shape: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise Refusal(f"{option} {pair}: write {option} {shape}", USAGE)
    return name, value
