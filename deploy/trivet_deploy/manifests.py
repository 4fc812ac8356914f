"""`trivet init systemd|compose|kubernetes`: the files that deploy a site, printed or written into a folder.

Owns where they go. Knows no format: each kind has a room of its own.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from . import screen
from .refusal import GOOD, USAGE, Refusal
from .site import Site, load_site


class Made(NamedTuple):
    """Files by name, and what somebody has to do or know besides."""

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


def _systemd(site: Site, halves: bool) -> Made:
    from . import systemd_units
    from .systemd_plan import plan

    return Made((systemd_units.halves if halves else systemd_units.units)(plan(site)))


def _compose(site: Site, halves: bool) -> Made:
    from . import compose_file
    from .container_plan import plan, unreadable

    _refuse_halves(halves)
    planned = plan(site)
    return Made(compose_file.files(planned), (*planned.notes, *unreadable(planned)))


def _kubernetes(site: Site, halves: bool) -> Made:
    from . import kubernetes_files
    from .container_plan import plan

    _refuse_halves(halves)
    planned = plan(site)
    return Made(kubernetes_files.files(planned), planned.notes)


def _refuse_halves(halves: bool) -> None:
    if halves:
        raise Refusal("--halves is for systemd; containers hold one half each anyway", USAGE)


KINDS: dict[str, Callable[[Site, bool], Made]] = {
    "systemd": _systemd,
    "compose": _compose,
    "kubernetes": _kubernetes,
}


def write(kind: str, file: str, folder: str | None, halves: bool) -> int:
    """Print the files, each under its name, or write them; all or none. Raises Refusal."""
    files, notes = KINDS[kind](_load(kind, file), halves)
    if folder is None:
        click.echo("\n".join(f"# ---- {name}\n{text}" for name, text in files.items()), nl=False)
    else:
        missing = {name: text for name, text in files.items() if not _is_there(Path(folder) / name, text)}
        for name, text in missing.items():
            _write(Path(folder) / name, text)
    for note in notes:
        screen.tell(f"warning: {note}")
    return GOOD


def _load(kind: str, file: str) -> Site:
    """Containers have folders that this machine has not, those that `prepare` fills for instance."""
    from trivet_common.config import ConfigError

    try:
        return load_site(file)
    except ConfigError as error:
        if kind == "systemd":
            raise
        try:
            return load_site(file, purpose="backend")
        except ConfigError:
            raise error from None


def _is_there(path: Path, text: str) -> bool:
    """The same already, or a .dockerignore of the project's own, which stays. Raises Refusal for another."""
    if not path.exists():
        return False
    try:
        found = path.read_text("utf-8", "replace")
    except OSError:
        found = ""  # a folder, or not ours to read
    if found == text:
        return True
    if path.name != ".dockerignore" or not path.is_file():
        raise Refusal(f"{path} is here already; it is not overwritten")
    lacking = [line for line in text.splitlines() if line[:1] != "#" and line not in found.splitlines()]
    if lacking:
        screen.tell(f"warning: {path} is here already and stays; it lacks: {' '.join(lacking)}")
    return True


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise Refusal(f"{path}: cannot be written: {error.strerror}") from None
    click.echo(str(path))
