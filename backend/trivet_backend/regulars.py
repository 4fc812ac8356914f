"""Clients that come again: the fields that all requests of one have in common are read once.

Owns a bounded memory from these fields, as the bytes our proxy sends, to what was made of them. Knows no
request line, no claim and no body. A flood of made-up clients makes the memory useless, never large.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from trivet_common.http1.recent import Recent

Fields = dict[bytes, bytes]
Field = tuple[bytes, bytes]

# Two generations of so many, of at most so many bytes and fields each: what is larger is read each time.
GENERATION = 256
LONGEST = 2048
_MOST_FIELDS = 32
_ORDERS = frozenset({b"trivet-takes", b"trivet-mount", b"trivet-timeout", b"trivet-user", b"trivet-stream"})
# What is another one in each request, and what would have to be judged. Our proxy says the first after the
# steady fields and the second never; in somebody's head that has them here, each may stand twice.
_NOT_STEADY = frozenset({
    b"x-request-id", b"content-length", b"transfer-encoding", b"trivet-claim", b"trivet-queued",
    b"connection", b"expect", b"upgrade", b"te", b"trailer",
})  # fmt: skip


class Regular(NamedTuple):
    """Slots of all threads share one: nobody changes it. Fields are not kept: they would be most of it."""

    orders: Fields  # what the proxy says to the slot
    template: dict[str, Any]


class Regulars(Recent[Regular]):
    """`regulars[steady]`: the regular of these lines, each with CRLF before it; None where they have none."""

    __slots__ = ("_template",)

    def __init__(self, template: Callable[[list[Field], Fields], dict[str, Any]]) -> None:
        super().__init__(GENERATION)
        self._template = template

    def __missing__(self, steady: bytes) -> Regular | None:
        if len(steady) > LONGEST or steady.count(b"\r\n") > _MOST_FIELDS:
            return None
        regular = super().__missing__(steady)
        if regular is None and (regular := self._make(steady)) is not None:
            self.keep(steady, regular)
        return regular

    def _make(self, steady: bytes) -> Regular | None:
        fields = cut_lines(steady.split(b"\r\n")[1:])
        said = dict(fields)
        names = b" ".join(said)
        if not _NOT_STEADY.isdisjoint(said) or names != names.lower():
            return None
        orders = {name: said[name] for name in _ORDERS.intersection(said)}
        if len(orders) < steady.count(b"\r\ntrivet-"):
            return None  # one stands twice
        return Regular(orders, self._template(fields, said))


def cut_lines(lines: list[bytes]) -> list[Field]:
    """Of our own proxy: names in lower case, one space behind the colon."""
    return [(name, value) for name, _, value in [line.partition(b": ") for line in lines]]
