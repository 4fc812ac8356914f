"""`trivet check`: what is wrong with a file, and with --app what is wrong with its applications.

The mistakes of a file are the configuration's own words; this room prints them and loads the applications.
"""

import json
import os
import subprocess
import sys

import click

from trivet_common.config import Pool, Settings, json_schema, load

from . import certificates, screen
from .refusal import FAILED, GOOD
from .words import count, ending

# Loading a large application takes seconds; one that takes longer than this waits for something.
LOAD_TIMEOUT = 120.0
_STDERR = 2
_TOO_SHORT = (
    "{0.where}: warning: pool {0.name}: requests wait {0.queue.timeout:g} s (queue: timeout), and its "
    "backend may take {1.stop_timeout:g} s (stop_timeout) to stop before another one starts: some would get "
    "a 503 meanwhile"
)
_AS_ROOT: dict[str, object] = {
    "text": "it would be loaded with all the rights of root, and so would whatever it imports",
    "hint": "write who it is to be, user: NAME, or check as the user who will serve it",
}


def check(file: str, purpose: str, with_app: bool) -> int:
    """Print `file: ok, ...` or (through ConfigError) every mistake. Returns the exit status."""
    settings = load(file, purpose=purpose)
    for problem in settings.warnings:
        screen.tell(f"{problem.where}: warning: {str(problem).partition(': ')[2]}")
    for pool in settings.pools.values() if purpose in ("proxy", "backend") else ():
        if pool.queue.timeout < settings.stop_timeout:
            screen.tell(_TOO_SHORT.format(pool, settings))
    for line in certificates.checked(settings) if purpose != "backend" else ():
        click.echo(line)
    loaded = [_check_application(pool) for pool in settings.pools.values()] if with_app else []
    good = all(loaded)
    if good:
        click.echo(f"{file}: ok, {_summary(settings)}")
    return GOOD if good else FAILED


def schema() -> str:
    """The JSON schema of the file, for editors."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _summary(settings: Settings) -> str:
    return f"{count(len(settings.routes), 'route')}, {count(len(settings.pools), 'pool')}"


def _check_application(pool: Pool) -> bool:
    """Load it as its worker will: in a process of its own, as its user, with its folder and environment."""
    whom = user_for(pool)
    told = _AS_ROOT if whom is None and os.geteuid() == 0 else _load(pool, whom)
    if told.get("ok"):
        click.echo(f"pool {pool.name}: {pool.app} loads in {told['seconds']:.2f} s")
        return True
    screen.tell(f"{pool.where}: pool {pool.name}: {told.get('text')}")
    if told.get("hint"):
        screen.tell(f"  hint: {told['hint']}")
    for line in str(told.get("trace") or "").rstrip().splitlines():
        screen.tell(f"  {line}")
    return False


def user_for(pool: Pool) -> str | None:
    """Whose rights an application is loaded with: its pool's, else, asked by root, its folder's owner's."""
    if pool.user is not None or os.geteuid() != 0:
        return pool.user
    owner = pool.directory.stat().st_uid
    return str(owner) if owner else None


def _load(pool: Pool, user: str | None) -> dict[str, object]:
    read_end, write_end = os.pipe()
    wish = {
        "app": pool.app,
        "directory": os.fspath(pool.directory),
        "python_path": [os.fspath(path) for path in pool.python_path],
        "user": user,
        "group": pool.group,
        "env": pool.env,
        "hooks": {
            key: name
            for key, name in (("post_fork", pool.post_fork), ("worker_exit", pool.worker_exit))
            if name is not None
        },
        "is_alone": pool.preload is not None and not pool.preload.threads,
    }
    # -P: nothing out of the folder that we stand in is imported before the child is its user.
    command = [sys.executable, "-P", "-m", "trivet_deploy.application_check", str(write_end)]
    with os.fdopen(read_end, "rb") as answer:
        try:
            # What the application prints while it loads goes to our standard error: standard output is ours.
            with os.fdopen(write_end, "wb"):
                done = subprocess.run(
                    command,
                    input=json.dumps(wish).encode(),
                    stdout=_STDERR,
                    pass_fds=[write_end],
                    timeout=LOAD_TIMEOUT,
                )
        except subprocess.TimeoutExpired:
            return {
                "text": f"{pool.app} was not loaded within {LOAD_TIMEOUT:g} s",
                "hint": "what does it wait for?",
            }
        told = answer.read(1024 * 1024)
    try:
        found: dict[str, object] = json.loads(told)
    except ValueError:
        return {"text": f"{pool.app} ended the process while it was loaded ({ending(done.returncode)})"}
    return found
