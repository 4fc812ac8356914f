"""Which file is meant, and where its run directory is: found without YAML, so that a probe costs little.

Knows nothing of what runs there.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from trivet_common.asking import is_listening

from .refusal import USAGE, Refusal

# Below a run directory, the one of every second version that was started by USR2; no pool's name begins so.
SECOND = ".b"
SUFFIXES = (".yaml", ".yml")
# As the configuration's own bound; a file above it is refused there with words.
_LARGEST_FILE = 1024 * 1024
_LINE = re.compile(r"""(?P<quote>["']?)run_dir(?P=quote)\s*:(?:\s+(?P<value>.*))?\Z""")
_PLACEHOLDER = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


class NotPlain(Exception):
    """The run directory is not written in a way that can be read without YAML."""


def is_app(argument: str | None) -> bool:
    """Whether an argument names an application instead of a file."""
    return argument is not None and not argument.endswith(SUFFIXES)


def find_file(argument: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that is meant: the argument, else $TRIVET_FILE, else ./trivet.yaml. It exists, or Refusal."""
    named = argument or environ.get("TRIVET_FILE") or ""
    if named and not named.endswith(SUFFIXES):
        raise Refusal(f"{named} is not the name of a YAML file; it must end in .yaml or .yml", USAGE)
    file = Path(named or "trivet.yaml")
    if os.path.lexists(file):
        return file
    if named:
        whence = "" if argument else " (from $TRIVET_FILE)"
        raise Refusal(f"there is no file {file}{whence}", USAGE)
    raise Refusal("there is no trivet.yaml here; name a file, or write a first one with: trivet init", USAGE)


def locate(argument: str | None, environ: Mapping[str, str] = os.environ) -> tuple[str, Path]:
    """What the user calls the site, and its run directory; also when the file has mistakes by now."""
    asked, run_dir = _locate(argument, environ)
    second = run_dir / SECOND
    # Of two versions beside each other one listens. What was killed has left a socket that nobody hears.
    is_upgraded = is_listening(second / "control.sock") and not is_listening(run_dir / "control.sock")
    return asked, second if is_upgraded else run_dir


def _locate(argument: str | None, environ: Mapping[str, str]) -> tuple[str, Path]:
    if is_app(argument):
        assert argument is not None
        return argument, default_run_dir(name_of_app(argument), environ, os.geteuid())
    file = find_file(argument, environ)
    try:
        written = read_run_dir(file, environ)
    except NotPlain:
        from .site import load_site  # the long way, for files that need it

        return os.fspath(file), load_site(os.fspath(file), environ=environ).run_dir
    if written is None:
        return os.fspath(file), default_run_dir(name_of(file), environ, os.geteuid())
    return os.fspath(file), file.absolute().parent / written


def name_of(file: Path) -> str:
    """The site's name, as the configuration has it: the folder's for a trivet.yaml, else the file's own."""
    file = file.absolute()
    return safe_name(file.parent.name if file.stem == "trivet" else file.stem)


def name_of_app(app: str) -> str:
    """The name of a site that was started as `trivet serve module:app`."""
    return safe_name(Path(app.partition(":")[0].removesuffix(".py")).name)


def safe_name(name: str) -> str:
    """A name fit for a folder."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip(".-")[:64] or "site"


def read_run_dir(file: Path, environ: Mapping[str, str]) -> str | None:
    """The value of a top-level `run_dir:` on a line of its own. Raises NotPlain, or Refusal."""
    try:
        with file.open("rb") as opened:
            lines = opened.read(_LARGEST_FILE).decode("utf-8-sig", "replace").splitlines()
    except OSError as error:
        raise Refusal(f"{file}: {error.strerror}") from None
    first = next((line for line in lines if line.strip() and not line.startswith(("#", "---"))), "")
    if first.startswith(("{", "%")):
        raise NotPlain
    found = [match["value"] or "" for line in lines if (match := _LINE.match(line))]
    return _scalar(found[-1], environ) if found else None


def default_run_dir(name: str, environ: Mapping[str, str], uid: int) -> Path:
    """Where a site without `run_dir:` keeps its sockets."""
    given = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]  # systemd.exec(5): a list
    if given:
        return Path(given)
    if uid == 0:
        return Path("/run/trivet") / name
    session = environ.get("XDG_RUNTIME_DIR", "")
    if session and _owner(session) == uid:
        return Path(session) / "trivet" / name
    return _fallback(uid, environ) / name


def prepare_parent(run_dir: Path) -> None:
    """Make the folder that stands in for a missing $XDG_RUNTIME_DIR, or refuse one that others control.

    Everybody may create names in /tmp: who made ours first could swap the sockets below it.
    """
    uid = os.geteuid()
    parent = _fallback(uid, os.environ)
    if run_dir.parent != parent:
        return
    parent.mkdir(mode=0o700, exist_ok=True)
    found = parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise Refusal(f"{parent} is not a folder of ours alone; remove it, or set run_dir: in the file")


def forget_parent(run_dir: Path) -> None:
    """Remove that folder again when the last site has left it."""
    parent = _fallback(os.geteuid(), os.environ)
    if run_dir.parent == parent:
        try:
            parent.rmdir()
        except OSError:
            pass  # another site of ours lives there


def _scalar(text: str, environ: Mapping[str, str]) -> str | None:
    text = text.strip()
    if text[:1] in ('"', "'"):
        text, end, rest = text[1:].partition(text[0])
        if not end or "\\" in text or rest.strip()[:1] not in ("", "#"):
            raise NotPlain
    else:
        if text[:1] in tuple("|>&*!{[@`%~"):
            raise NotPlain
        text = re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
    return _filled(text, environ) or None


def _filled(text: str, environ: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = environ.get(match["name"]) or match["default"]
        if found is None:
            raise NotPlain  # a mistake of the file: whoever reads it whole says so
        return found

    return _PLACEHOLDER.sub(value, text)


def _owner(path: str) -> int | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_uid if stat.S_ISDIR(found.st_mode) else None


def _fallback(uid: int, environ: Mapping[str, str]) -> Path:
    return Path(environ.get("TMPDIR") or "/tmp").absolute() / f"trivet-{uid}"
