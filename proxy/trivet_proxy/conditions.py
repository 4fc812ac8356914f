"""What a route asks of a request besides host, path and scheme: one function, composed at load.

The cheap questions come first and the regular expression of the path last: its groups are set only where
everything else holds. Methods are asked elsewhere (candidates.py): they make the difference of 404 and 405.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

from trivet_common.config.settings_match import FieldMatch, Match, Regex
from trivet_common.http1.reasons import refuse

from .hearsay import is_claim
from .networks import Networks
from .regexes import compile_regex

if TYPE_CHECKING:
    from .request import Request

Holds: TypeAlias = "Callable[[Request], bool]"
Suits: TypeAlias = Callable[[list[bytes]], bool]

_MOST_PARAMETERS = 1000


class Condition(NamedTuple):
    """`says`: what is asked, in the words of the file."""

    says: str
    holds: Holds


def compile_conditions(match: Match | None, listeners: Iterable[str] = ()) -> list[Condition]:
    """Each on its own. `listeners`: their addresses, none for all."""
    found = []
    if addresses := tuple(listeners):
        found.append(
            Condition(
                f"listener {', '.join(addresses)}", lambda request: request.client.listener in addresses
            )
        )
    if match is None:
        return found
    if match.clients is not None:
        networks = Networks(match.clients)
        found.append(Condition(f"client {networks}", lambda request: networks.has(request.client.address)))
    found += [_header(field) for field in match.headers]
    found += [_parameter(field) for field in match.query]
    if match.path_regex is not None:
        found.append(_path(match.path_regex))
    return found


def all_of(conditions: list[Condition]) -> Holds | None:
    """None where nothing is asked."""
    if len(conditions) < 2:
        return conditions[0].holds if conditions else None
    functions = [condition.holds for condition in conditions]

    def holds(request: Request) -> bool:
        for function in functions:  # all() would make a generator, which costs more than what it asks
            if not function(request):
                break
        else:
            return True
        return False

    return holds


def _path(regex: Regex) -> Condition:
    search = compile_regex(regex)

    def holds(request: Request) -> bool:
        found = search(request.head.path)
        if found is None:
            return False
        request.groups = found.groups()
        return True

    return Condition(f"path_regex {regex}", holds)


def _header(field: FieldMatch) -> Condition:
    """Where several fields have the name, one that suits is enough."""
    name, suits = field.name.encode("ascii"), _suits(field, "bad_head:too_big")

    def holds(request: Request) -> bool:
        said = [value for found, value in request.head.headers if found == name]
        return suits(said) is not field.is_absent

    def holds_if_trusted(request: Request) -> bool:
        return holds(request) if request.client.is_trusted else field.is_absent

    if is_claim(name):
        return Condition(f"header {_written(field)}, said by one of trusted_proxies", holds_if_trusted)
    return Condition(f"header {_written(field)}", holds)


def _parameter(field: FieldMatch) -> Condition:
    name, suits = field.name.encode(), _suits(field, "bad_head:target_long")

    def holds(request: Request) -> bool:
        query = request.head.query
        if query.count(b"&") >= _MOST_PARAMETERS:
            raise refuse("bad_head:target_long", f"The query has more than {_MOST_PARAMETERS} parameters.")
        said = []
        for part in query.split(b"&") if query else ():
            found, _, value = part.partition(b"=")
            if found == name or _decoded(found) == name:
                said.append(_decoded(value))
        return suits(said) is not field.is_absent

    return Condition(f"query {_written(field)}", holds)


def _suits(field: FieldMatch, too_long: str) -> Suits:
    """Whether one of all that were said is as it is wanted."""
    if field.value is None:
        return bool
    if isinstance(field.value, Regex):
        return _one_of(field.value, too_long)
    wanted = field.value.encode()
    return lambda said: wanted in said


def _one_of(regex: Regex, too_long: str) -> Suits:
    """Together they are no longer than what it was judged for: thirty of them took thirty times as long."""
    search, longest = compile_regex(regex, too_long), regex.longest

    def is_found(said: list[bytes]) -> bool:
        if len(said) > 1 and sum(map(len, said)) > longest:
            raise refuse(too_long, f"{regex} is tried on {longest} bytes at most.")
        return any(search(value) is not None for value in said)

    return is_found


def _decoded(text: bytes) -> bytes:
    """As forms are encoded."""
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text


def _written(field: FieldMatch) -> str:
    if field.value is None:
        return f"{field.name}: {'false' if field.is_absent else 'true'}"
    return f"{field.name}: {'~' if isinstance(field.value, Regex) else ''}{field.value}"
