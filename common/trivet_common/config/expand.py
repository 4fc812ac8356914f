"""`${NAME}` and `${NAME:-default}` in scalars, after parsing: a variable can never change the structure.

`$${` stands for a literal `${`. Knows no setting.
"""

import re
from collections.abc import Mapping

from .nodes import Node, Text
from .problems import Findings, Mistake, shown

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(:-(.*))?\Z", re.DOTALL)
MAX_TEXT = 256 * 1024


def expand(tree: Node, environ: Mapping[str, str], findings: Findings) -> Node:
    """The tree with variables put in; what cannot be expanded is reported and taken out."""
    bad = set()
    for _loc, node in tree.walk():
        if isinstance(node.value, Text) and "${" in node.value:
            try:
                text = expanded(node.value, environ)
            except Mistake as mistake:
                findings.mistake(node.place, mistake.message, mistake.hint)
                bad.add(id(node))
            else:
                node.written = str(node.value)
                # A value that is wholly a variable takes the field's type, quoted or not.
                whole = re.fullmatch(r"\$\{[^}]*\}", node.written) is not None
                node.value = Text(text, plain=whole or node.value.plain)
    return tree.without(bad) if bad else tree


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """Raises Mistake for a variable that is missing or misspelled."""

    def value(found: re.Match[str]) -> str:
        if found.group() == "$${":
            return "${"
        return _lookup(found, environ)

    result = _REFERENCE.sub(value, text)
    if len(result) > MAX_TEXT:
        raise Mistake(
            f"the value is longer than {MAX_TEXT // 1024} KiB with its variables put in", "use a shorter one"
        )
    return result


def _lookup(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if not found[2]:
        raise Mistake(
            f'"{shown(found.group())}" is not closed', "write ${NAME} or ${NAME:-default}; $${ for a plain ${"
        )
    reference = _NAME.match(found[1])
    if not reference:
        raise Mistake(
            f'"{shown(found.group())}" is not a variable',
            "write ${NAME} or ${NAME:-default}; $${ for a plain ${",
        )
    name, has_default, default = reference.groups()
    # As in a shell, `:-` also stands in for a variable that is empty.
    if has_default:
        return environ.get(name) or default
    if name not in environ:
        raise Mistake(f"the variable {name} is not set", f"set it, or write ${{{name}:-default}}")
    return environ[name]
