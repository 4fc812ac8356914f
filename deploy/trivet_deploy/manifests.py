"""`trivet init systemd|compose|kubernetes`: the files that deploy a site, printed or written into a folder.

Owns where they go. Knows no format: each kind has a room of its own.
"""

from collections.abc import Callable
from pathlib import Path

import click

from .refusal import GOOD, USAGE, Refusal
from .site import Site, load_site


def _systemd(site: Site, halves: bool) -> dict[str, str]:
    from . import systemd_units
    from .systemd_plan import plan

    return (systemd_units.halves if halves else systemd_units.units)(plan(site))


def _compose(site: Site, halves: bool) -> dict[str, str]:
    from . import compose_file
    from .container_plan import plan

    _refuse_halves(halves)
    return compose_file.files(plan(site))


def _kubernetes(site: Site, halves: bool) -> dict[str, str]:
    from . import kubernetes_files
    from .container_plan import plan

    _refuse_halves(halves)
    return kubernetes_files.files(plan(site))


def _refuse_halves(halves: bool) -> None:
    if halves:
        raise Refusal("--halves is for systemd; containers hold one half each anyway", USAGE)


KINDS: dict[str, Callable[[Site, bool], dict[str, str]]] = {
    "systemd": _systemd,
    "compose": _compose,
    "kubernetes": _kubernetes,
}


def write(kind: str, file: str, folder: str | None, halves: bool) -> int:
    """Print the files, each under its name, or write them. Raises Refusal."""
    files = KINDS[kind](load_site(file), halves)
    if folder is None:
        click.echo("\n".join(f"# ---- {name}\n{text}" for name, text in files.items()), nl=False)
        return GOOD
    for name, text in files.items():
        path = Path(folder) / name
        if path.exists():
            raise Refusal(f"{path} is here already; it is not overwritten")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            raise Refusal(f"{path}: cannot be written: {error.strerror}") from None
        click.echo(str(path))
    return GOOD
