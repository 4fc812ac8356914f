"""Files of `NAME=value` lines: a small strict reader.

Blank lines, # comments, `export `, 'text as it is' and "text with escapes" are known; nothing is expanded or
run. Everything else is a mistake with its line.
"""

import re
from pathlib import Path

from .problems import Findings, Place, shown

MAX_BYTES = 256 * 1024

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)\Z", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(#.*)?\Z', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'\s*(#.*)?\Z", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def read_env_file(path: Path, shown_as: str, order: int, findings: Findings) -> dict[str, str]:
    """The variables of a file that exists; mistakes are reported by their lines."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        findings.mistake(Place(order, shown_as, 0), f"the file cannot be read: {error.strerror}")
        return {}
    except UnicodeDecodeError:
        findings.mistake(Place(order, shown_as, 0), "the file is not UTF-8 text", "save it as UTF-8")
        return {}
    if len(data) > MAX_BYTES:
        findings.mistake(
            Place(order, shown_as, 0), f"the file is larger than {MAX_BYTES // 1024} KiB", "write less"
        )
        return {}
    variables: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            pair = _parse(line, Place(order, shown_as, number), findings)
            variables |= dict([pair]) if pair else {}
    return variables


def _parse(line: str, place: Place, findings: Findings) -> tuple[str, str] | None:
    found = _LINE.match(line)
    if not found:
        # The line itself is not shown: it may hold a secret.
        name = line.partition("=")[0] if "=" in line else ""
        what = f'"{shown(name)}" is not the name of a variable' if name else "this line is not NAME=value"
        findings.mistake(place, what, "write NAME=value")
        return None
    name, raw = found.groups()
    value = _value(raw)
    if value is None or "\0" in value:
        findings.mistake(
            place, f"the quotes of {name} do not fit", f"write {name}='…' on one line, nothing after it"
        )
        return None
    return name, value


def _value(raw: str) -> str | None:
    if raw.startswith('"'):
        found = _DOUBLE.match(raw)
        return (
            re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), found[1]) if found else None
        )
    if raw.startswith("'"):
        found = _SINGLE.match(raw)
        return found[1] if found else None
    return re.split(r"\s#", raw, maxsplit=1)[0].strip()
