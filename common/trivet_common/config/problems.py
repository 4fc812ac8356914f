"""Mistakes and warnings about a configuration: where, what, and what to write instead.

Owns how they are collected, sorted and printed. Knows neither YAML nor any setting.
"""

from typing import NamedTuple

MAX_REPORTED = 100


class Place(NamedTuple):
    """A line of a file, or an option of the command (line 0). `order` is the file's rank in the report."""

    order: int
    file: str
    line: int

    def __str__(self) -> str:
        file = shown_path(self.file)
        return f"{file}:{self.line}" if self.line else file


class Problem(NamedTuple):
    """One mistake or warning; prints as `file:line: what; what to write instead`."""

    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" + (f"; {self.hint}" if self.hint else "")


class ConfigError(Exception):
    """Every mistake of a configuration at once, sorted by file and line."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class Mistake(ValueError):
    """What is wrong with one value, raised by the parser of its type; the caller knows the place."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Findings:
    """All mistakes and warnings of one load."""

    __slots__ = ("_mistakes", "_warnings")

    def __init__(self) -> None:
        self._mistakes: dict[tuple[Place, str], Problem] = {}
        self._warnings: dict[tuple[Place, str], Problem] = {}

    def __repr__(self) -> str:
        return f"<Findings {len(self._mistakes)} mistakes, {len(self._warnings)} warnings>"

    def mistake(self, place: Place, message: str, hint: str = "") -> None:
        self._mistakes.setdefault((place, message), _problem(place, message, hint))

    def warning(self, place: Place, message: str, hint: str = "") -> None:
        self._warnings.setdefault((place, message), _problem(place, message, hint))

    @property
    def mistake_count(self) -> int:
        return len(self._mistakes)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(_in_order(self._warnings))

    def raise_if_any(self) -> None:
        if not self._mistakes:
            return
        problems = _in_order(self._mistakes)
        left = len(problems) - MAX_REPORTED
        if left > 0:
            more = Problem(problems[MAX_REPORTED].where, f"and {left} more mistakes from here on")
            problems = [*problems[:MAX_REPORTED], more]
        raise ConfigError(problems)


def shown(value: object, limit: int = 60) -> str:
    """A value from outside, safe to print: control characters escaped, long text cut."""
    text = str(value)
    return _printable(text if len(text) <= limit else text[: limit - 1] + "…")


def shown_path(path: object) -> str:
    """A path, safe to print, and whole: a path cut short helps nobody."""
    return shown(path, 4096)


def _problem(place: Place, message: str, hint: str) -> Problem:
    # Whatever a message quotes, it must not write on somebody's terminal.
    return Problem(str(place), _printable(message), _printable(hint))


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _in_order(problems: dict[tuple[Place, str], Problem]) -> list[Problem]:
    return [problem for (_place, _), problem in sorted(problems.items(), key=lambda item: item[0])]
