"""Regular expressions of a configuration: which may be used, and on how long a text.

They run on what strangers send, in a process that serves everybody, and Python's `re` tries one way after the
other. So the ways are counted here, before: an expression that may have too many is refused with a cure.
"""

import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

from . import fields
from .nodes import described
from .problems import Mistake, shown
from .settings_match import Regex

LONGEST_REGEX = 512  # characters
# A text is at most so long. An expression that may take more than _STEPS for it is given a shorter one.
LONGEST_TEXTS = (8192, 4096, 2048, 1024)
# About 30 ms: less than a page of most applications, for the worst that can be sent.
_STEPS = 9_000_000
_STEPS_A_MILLISECOND = 300_000
_MOST_BRANCHES = 10_000  # copies that the count itself may make of an expression's parts

_LOCAL_FLAGS = re.compile(r"\(\?[a-zA-Z]*-?[a-zA-Z]+:")
_ANYTHING = frozenset(range(256))
_NEW_LINE = 10
_DIGITS = frozenset(b"0123456789")
_SPACES = frozenset(b" \t\n\r\f\v")
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_CLASSES = {
    codes.CATEGORY_DIGIT: _DIGITS,
    codes.CATEGORY_NOT_DIGIT: _ANYTHING - _DIGITS,
    codes.CATEGORY_SPACE: _SPACES,
    codes.CATEGORY_NOT_SPACE: _ANYTHING - _SPACES,
    codes.CATEGORY_WORD: _WORD,
    codes.CATEGORY_NOT_WORD: _ANYTHING - _WORD,
}
_AT_START = (codes.AT_BEGINNING, codes.AT_BEGINNING_STRING)
_ONE = (codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN)  # byte
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_ENDS = [(codes.AT, codes.AT_END), (codes.AT, codes.AT_END_STRING)]


def parse_regex(value: Any) -> Regex:
    """Raises Mistake."""
    if not isinstance(value, str):
        raise Mistake(f"a regular expression is text, not {described(value)}", "quote it")
    text = fields.parse_text(value)
    if len(text) > LONGEST_REGEX:
        raise Mistake(
            f"the regular expression has {len(text)} characters, and {LONGEST_REGEX} are taken",
            "make several routes of it",
        )
    if not text.isascii():
        raise Mistake(f'"{shown(text)}" has letters beyond ASCII', "write . for each byte of their UTF-8")
    if nginx := re.match(r"(~\*?)\s+", text):
        cure = ("(?i)" if "*" in nginx[1] else "") + text[nginx.end() :]
        raise Mistake(f'"{shown(text)}": {nginx[1]} is nginx\'s', f"write {shown(cure)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            compiled = re.compile(text.encode())
        tree = parser.parse(text.encode())
    except FutureWarning as warning:
        raise Mistake(f'"{shown(text)}" can be read in two ways: {warning}', "write \\[ for a [") from None
    except (re.error, OverflowError, RecursionError) as error:
        raise Mistake(f'"{shown(text)}" is no regular expression: {error}', _cure_of(text)) from None
    # For a part of it alone they would be another expression than the one whose steps are counted.
    if compiled.flags & (re.VERBOSE | re.LOCALE | re.MULTILINE) or _LOCAL_FLAGS.search(text):
        raise Mistake(f'"{shown(text)}" has flags other than (?i) and (?s) in front', "take them out")
    longest, steps = _longest(text, tree)
    return Regex(text, compiled.groups, longest, round(steps / _STEPS_A_MILLISECOND, 1))


def _cure_of(text: str) -> str:
    if "(?<" in text and not re.search(r"\(\?<[=!]", text):
        return "groups have numbers here: write ( for (?<name>"
    return "write . and * as in Python's re, and \\ before a sign that means itself"


def _longest(text: str, tree: Any) -> tuple[int, int]:
    """The longest text that it may be run on, and the steps for it."""
    for length in LONGEST_TEXTS:
        try:
            steps = _Count(length, tree.state.flags).steps(tree)
            if steps <= _STEPS:
                return length, steps
        except RecursionError:
            raise Mistake(f'"{shown(text)}" has parts within parts too deep', "write it flatter") from None
        except _TooMany as error:
            raise Mistake(f'"{shown(text)}": {error}', error.cure) from None
    raise Mistake(
        f'"{shown(text)}" can take too long on a path made for it',
        "begin it with ^, and write [^/]+ in the place of .*",
    )


class _TooMany(Exception):
    """It cannot be counted, or need not be."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.cure = cure


class _Count:
    """An upper bound of the steps on any text of `length` bytes.

    A part costs what it may try, times what follows it at each try. Only where what is repeated cannot begin
    what follows does giving back fail at once, so that its tries are added and not multiplied.
    """

    def __init__(self, length: int, flags: int) -> None:
        self._length = length
        self._flags = flags
        self._budget = _MOST_BRANCHES

    def steps(self, tree: Any) -> int:
        nodes = list(tree)
        cost = self._cost(nodes)
        is_anchored = bool(nodes) and nodes[0][0] is codes.AT and nodes[0][1] in _AT_START
        return cost if is_anchored else cost * (self._length + 1)  # tried at every place

    def _cost(self, nodes: Sequence[Any]) -> int:
        """Of a sequence and everything behind it. From the right: each part asks what follows it."""
        self._budget -= 1
        if self._budget < 0:
            raise _TooMany("it has too many branches", "make several routes of it")
        if not nodes:
            return 1
        (code, argument), rest = nodes[0], nodes[1:]
        if code in _ONE or code is codes.AT:
            return 1 + self._cost(rest)
        if code is codes.SUBPATTERN:
            return self._cost([*argument[3], *rest])
        if code is codes.BRANCH:
            return sum(self._cost([*branch, *rest]) for branch in argument[1])
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            least, most, body = argument
            return self._repeat(least, most, body, rest)
        if code in (codes.ASSERT, codes.ASSERT_NOT):
            return self._cost(list(argument[1])) + self._cost(rest)
        if code is codes.POSSESSIVE_REPEAT:
            least, most, body = argument
            return self._repeat(least, most, body, []) + self._cost(rest)
        if code is codes.ATOMIC_GROUP:
            return self._cost(list(argument)) + self._cost(rest)
        raise _TooMany("it refers back to a group", "say with [...] or | what may stand there")

    def _repeat(self, least: int, most: int, body: Any, rest: Sequence[Any]) -> int:
        most = min(most, self._length)
        least = min(least, most)
        if most <= 1:
            return self._cost(rest) * (least == 0) + self._cost([*body, *rest])
        first, behind = self._first(body), self._first(rest)
        if not first & behind and self._is_plain(list(body), first | behind):
            # However often the whole is repeated, what repeats within it may take the whole text.
            return (most if _is_fixed(body) else self._length) * self._size(body) + self._cost(rest)
        if _is_fixed(body):
            return most * self._size(body) + (most - least + 1) * self._cost(rest)
        if most > 16:
            raise _TooMany(
                "a repeat within a repeat can take too long", "write it with one * or +, for example [^/]+"
            )
        return sum(self._cost([*list(body) * count, *rest]) for count in range(least, most + 1))

    def _is_plain(self, nodes: Sequence[Any], behind: frozenset[int]) -> bool:
        """Whether the next byte always says how to go on: then there is one way, and giving back ends it."""
        if not nodes:
            return True
        (code, argument), rest = nodes[0], nodes[1:]
        behind_this = self._first(rest) | (behind if _is_nullable(rest) else frozenset())
        if code is codes.SUBPATTERN:
            return self._is_plain(list(argument[3]), behind_this) and self._is_plain(rest, behind)
        if code is codes.BRANCH:
            return self._is_plain_branch(argument[1], behind_this) and self._is_plain(rest, behind)
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            least, most, body = argument
            first = self._first(body)
            if _is_nullable(body) or (least != most and first & behind_this):
                return False
            return self._is_plain(list(body), first | behind_this) and self._is_plain(rest, behind)
        return code in _ONE and self._is_plain(rest, behind)

    def _is_plain_branch(self, branches: Sequence[Any], behind: frozenset[int]) -> bool:
        taken: frozenset[int] = frozenset()
        for branch in branches:
            first = self._first(branch) | (behind if _is_nullable(branch) else frozenset())
            if first & taken or not self._is_plain(list(branch), behind):
                return False
            taken |= first
        return True

    def _size(self, nodes: Sequence[Any]) -> int:
        """Steps of one pass where there is one way."""
        size = 1
        for code, argument in nodes:
            if code is codes.SUBPATTERN:
                size += self._size(argument[3])
            elif code is codes.BRANCH:
                size += sum(map(self._size, argument[1]))
            elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
                size += self._size(argument[2]) * (argument[0] or 1)
            else:
                size += 1
        return size

    def _first(self, nodes: Any) -> frozenset[int]:
        """Bytes that can come first. At the end of all nothing does: what got there gives nothing back."""
        found: frozenset[int] = frozenset()
        for node in nodes:
            found |= self._first_of(*node)
            if not _is_nullable([node]) or node in _ENDS:
                break
        return found

    def _first_of(self, code: Any, argument: Any) -> frozenset[int]:
        if code in _ONE:
            return self._set(code, argument)
        if code is codes.AT:
            return frozenset()
        if code is codes.SUBPATTERN:
            return self._first(argument[3])
        if code is codes.BRANCH:
            return frozenset().union(*map(self._first, argument[1]))
        return self._first(argument[2]) if code in _REPEATS else _ANYTHING

    def _set(self, code: Any, argument: Any) -> frozenset[int]:
        """Of one character."""
        if code is codes.ANY:
            return _ANYTHING if self._flags & re.DOTALL else _ANYTHING - {_NEW_LINE}
        if code is codes.NOT_LITERAL:
            return _ANYTHING - self._folded({argument})
        found = {argument} if code is codes.LITERAL else self._members(argument)
        if code is codes.IN and argument[0][0] is codes.NEGATE:
            return _ANYTHING - self._folded(found)
        return self._folded(found)

    def _members(self, items: Any) -> set[int]:
        found: set[int] = set()
        for code, argument in items:
            if code is codes.LITERAL:
                found.add(argument)
            elif code is codes.RANGE:
                found.update(range(argument[0], argument[1] + 1))
            elif code is codes.CATEGORY:
                found |= _CLASSES[argument]
        return found

    def _folded(self, found: set[int]) -> frozenset[int]:
        if not self._flags & re.IGNORECASE:
            return frozenset(found)
        return frozenset(case for one in found for case in (*bytes([one]).lower(), *bytes([one]).upper()))


def _is_fixed(body: Any) -> bool:
    """Whether there is only one way to match it: no choice within."""
    for code, argument in body:
        if code is codes.SUBPATTERN:
            if not _is_fixed(argument[3]):
                return False
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            if argument[0] != argument[1] or not _is_fixed(argument[2]):
                return False
        elif code not in _ONE:
            return False
    return True


def _is_nullable(nodes: Any) -> bool:
    """Whether nothing at all matches it."""
    for code, argument in nodes:
        if code in _ONE:
            return False
        if code is codes.SUBPATTERN and not _is_nullable(argument[3]):
            return False
        if code is codes.BRANCH and not any(map(_is_nullable, argument[1])):
            return False
        if code in _REPEATS and argument[0] and not _is_nullable(argument[2]):
            return False
    return True


RegexText = Annotated[
    Regex, fields.Kind("regular expression", parse_regex, {"type": "string", "maxLength": LONGEST_REGEX})
]
