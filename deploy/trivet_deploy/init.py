"""`trivet init`: writes a first trivet.yaml from what was found in a folder, and says what comes next."""

import os
import re
from pathlib import Path

import click

from trivet_common.config import ConfigError, load

from . import screen
from .discovery import Found, find
from .refusal import GOOD, Refusal

NAME = "trivet.yaml"
_MIGRATE = "    # prepare: [python manage.py migrate --noinput]    # before each release"


def init(folder: Path | None = None) -> int:
    """Write trivet.yaml and say what comes next. Raises Refusal when there is one, or nothing to serve."""
    folder = folder or Path.cwd()
    file = folder / NAME
    if os.path.lexists(file):
        raise Refusal(f"{NAME} is here already; it is not overwritten (trivet check says what is in it)")
    found = find(folder)
    write(file, render(found, folder))
    click.echo(f"{NAME} written: {found.kind}, app: {found.app}")
    if found.note:
        click.echo(found.note)
    try:
        load(file)
    except ConfigError as error:
        for problem in error.problems:
            screen.tell(str(problem))
        click.echo("next: mend that, then: trivet check --app")
    else:
        click.echo("next: trivet check --app, then: trivet serve")
    return GOOD


def write(file: Path, text: str) -> None:
    """Write a new file; one that appeared meanwhile is left alone."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise Refusal(f"{file}: cannot be written: {error.strerror}") from None


def render(found: Found, folder: Path) -> str:
    """The file's text."""
    lines = [
        "# Written by `trivet init`. `trivet check` reads it, `trivet serve` serves it.",
        "",
        "listen: 127.0.0.1:8000        # `listen: 80` for every address",
        '# listen: [80, {address: ":443", tls: {certificate: fullchain.pem, key: privkey.pem}}]',
        "",
        "routes:                       # the first that matches answers",
    ]
    if found.static:
        lines.append(f"  - {{path: {found.static_path}, files: {_quoted(found.static)}}}")
    else:
        lines.append(
            f"  # - {{path: {found.static_path}, files: ./static}}    # files without the application"
        )
    lines += [
        "  - {path: /healthz, health: ready, log: off}",
        "  - {path: /, pool: web}",
        "",
        "pools:",
        "  web:",
        f"    app: {_quoted(found.app)}",
        *(["    env_file: .env"] if (folder / ".env").is_file() else []),
        *([_MIGRATE] if (folder / "manage.py").is_file() else []),
        "    # workers: 4              # processes; by default twice the cores",
        "    # threads: 1              # requests at the same time in each of them",
        "    # user: www-data          # who the application runs as, when started as root",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./-]+(:[\w.]+)?", text) else f'"{text}"'
