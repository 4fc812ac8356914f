"""What to say when YAML itself breaks: our own words, the line, and the cure.

Looks at the text around the parser's mark for the traps that web addresses, patterns and `${NAME}` fall into.
Knows the wording of PyYAML's pure parser, and no setting.
"""

import re
from typing import Any

import yaml

from .problems import shown

Diagnosis = tuple[int, str, str]

_VALUE = r"^\s*(?:-\s+)*(?:[\w.-]+:\s+)?"
_TAB = re.compile(r"^[ -]*\t+\s*\S")
_STAR = re.compile(r"(?:[:\[,]|^\s*-)\s+(\*[\w.*-]+)")
_ENV_IN_FLOW = re.compile(r"""[{\[].*?(?:([\w.-]+):\s*|[\[,]\s*)([^\s"',{}\[\]]*\$\{[^}"']*\}[^\s"',}\]]*)""")
_BRACES_IN_FLOW = re.compile(r"""\{.*?([\w.-]+):\s*([^\s"',{}\[\]]+\{\w+\}[^\s"',}\]]*)""")
_IPV6 = re.compile(r"(?:([\w.-]+):|-)\s+(\[[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\](?::\d+)?)")
_NO_SPACE = re.compile(r"^\s*(?:-\s+)?([A-Za-z_][\w-]*):([^\s/].*|/[^/].*)$")
_TEMPLATE = re.compile(_VALUE + r"(\{\w+\}\S.*)$")
# Of a flow mapping: `{path: /, redirect: {host}/x}`.
_TEMPLATE_IN_FLOW = re.compile(r"""[{,]\s*([\w.-]+):\s*(\{\w+\}[^\s"',{}\[\]]+)""")
_AFTER_QUOTE = re.compile(_VALUE + r"""(("[^"]*"|'[^']*')\s*\S.*)$""")

# What the parser says, and what we say.
_COMPLAINTS = (
    ("stream end", "the file ends before a { or [ is closed", "close it with } or ]"),
    (
        "node content",
        "a value is missing, or a bracket or comma stands alone here",
        "remove it, or quote the whole value",
    ),
    (
        "sequence entries",
        'a list ("- …") cannot begin on the line of its key',
        "put it on the next line, indented",
    ),
    (
        "block collection",
        "a key stands in the middle of a list",
        'begin the line with "- ", or indent it differently',
    ),
)


def diagnose(text: str, error: yaml.YAMLError) -> list[Diagnosis]:
    """(line, message, hint) for the known traps in the whole text, or else for the parser's own complaint."""
    lines = text.splitlines()
    found = _unprintable(text, error)
    if found:
        return [found]
    traps = [trap for number, line in enumerate(lines, 1) if (trap := _trap(number, line))]
    line = _line_of(error, len(lines))
    if any(abs(trap[0] - line) <= 1 for trap in traps):
        return traps
    return [*traps, _complaint(lines, line, error)]


def _trap(number: int, line: str) -> Diagnosis | None:
    """The traps that are recognised by a look at one line."""
    if line.lstrip().startswith("#"):
        return None
    if _TAB.match(line):
        return number, "a tab stands in the indentation", "indent with spaces"
    if star := _STAR.search(line):
        value = star[1]
        return (
            number,
            f"a value that begins with * must be quoted ({shown(value)})",
            f'write "{shown(value)}"',
        )
    if address := _IPV6.search(line):
        key = f"{address[1]}: " if address[1] else ""
        return number, "an address that begins with [ must be quoted", f'write {key}"{shown(address[2])}"'
    for pattern in (_ENV_IN_FLOW, _TEMPLATE_IN_FLOW, _BRACES_IN_FLOW):
        if braces := pattern.search(line):
            key = f"{braces[1]}: " if braces[1] else ""
            what = "${…}" if "${" in braces[2] else "a value with braces"
            return number, f"within {{ }} and [ ], {what} must be quoted", f'write {key}"{shown(braces[2])}"'
    return None


def _complaint(lines: list[str], number: int, error: yaml.YAMLError) -> Diagnosis:
    problem = str(getattr(error, "problem", None) or "")
    context = str(getattr(error, "context", None) or "")
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    if "quoted scalar" in context:
        return _quotes(number, problem, error)
    if "mapping values are not allowed" in problem:
        return _colon(lines, number)
    if "cannot start any token" in problem:
        value = _value_at(line, error)
        if value[:1] in ("@", "`", "%"):
            hint = f'write "{shown(value)}"'
            return number, f"a value that begins with {value[0]} must be quoted", hint
        return (
            number,
            "a tab or another character that YAML does not take stands here",
            "use spaces, or quote the value",
        )
    if "block scalar" in context:
        return number, "a value that begins with | or > must be quoted", "quote it"
    return _structure(lines, number, problem, context, error)


def _structure(lines: list[str], number: int, problem: str, context: str, error: Any) -> Diagnosis:
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    for opening, closing in ("{}", "[]"):
        if "flow" in context and f"or '{closing}'" in problem:
            what = f"the {opening} on this line is not closed, or a comma is missing"
            return error.context_mark.line + 1, what, f"close it with {closing}"
    if "block end" in problem and (template := _TEMPLATE.match(line)):
        return number, "a value that begins with { must be quoted", f'write "{shown(template[1].strip())}"'
    if "block end" in problem and (quoted := _AFTER_QUOTE.match(line)):
        inside = shown(quoted[1].strip())
        cure = "quote the whole value once" + ("" if '"' in inside else f': "{inside}"')
        return number, "something follows the closing quote", cure
    for words, message, hint in _COMPLAINTS:
        if words in problem or words in context:
            return number, message, hint
    return number, "this line does not fit the lines above it", _indentation_hint(line)


def _value_at(line: str, error: Any) -> str:
    """The value that begins at the parser's mark, as far as it goes inside or outside of brackets."""
    rest = line[error.problem_mark.column :] if error.problem_mark else ""
    found = re.match(r"[^,}\]#]*", rest)
    return found.group().strip() if found else rest


def _indentation_hint(line: str) -> str:
    spaces = len(line) - len(line.lstrip(" "))
    return f"check its indentation ({spaces} spaces): keys of one mapping begin in the same column"


def _colon(lines: list[str], number: int) -> Diagnosis:
    # The value before may have run on into this line because the colon of the line above has no space.
    for candidate in (number, number - 1):
        line = lines[candidate - 1] if 0 < candidate <= len(lines) else ""
        if (found := _NO_SPACE.match(line)) and found[1] not in ("unix", "fd", "http", "https"):
            return (
                candidate,
                f'a space is missing after the colon of "{shown(found[1])}:"',
                f"write {shown(found[1])}: {shown(found[2])}",
            )
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    key, _, value = line.strip().removeprefix("- ").partition(": ")
    inner = re.match(r"([A-Za-z_][\w-]*):(\s|\Z)", value)
    if inner:
        hint = (
            f'put {inner[1]}: on the next line, indented; or quote the value: {shown(key)}: "{shown(value)}"'
        )
        return number, f"two keys stand on one line, {shown(key)}: and {inner[1]}:", hint
    if ": " in value or value.endswith(":"):
        return number, 'a value with ": " in it must be quoted', f'write {shown(key)}: "{shown(value)}"'
    return number, "a key stands where none can", _indentation_hint(line)


def _quotes(number: int, problem: str, error: Any) -> Diagnosis:
    if "escape" in problem:
        return number, "a backslash in double quotes begins an escape", "use single quotes: '…'"
    start = error.context_mark.line + 1 if error.context_mark else number
    return start, "the quote that opens on this line is never closed", "close it on the same line"


def _unprintable(text: str, error: yaml.YAMLError) -> Diagnosis | None:
    if not isinstance(error, yaml.reader.ReaderError):
        return None
    line = text.count("\n", 0, error.position) + 1
    return line, f"a control character (\\x{int(error.character):02x}) stands here", "remove it"


def _line_of(error: Any, count: int) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return min(mark.line + 1, max(count, 1)) if mark else 1
