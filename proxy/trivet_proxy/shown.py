"""What clients are shown for one set of names: pairs of files, what they held, and the context made of it.

What was loaded last stays at hand, so that a context can be made anew while the files are broken. Knows no
listener.
"""

import ssl
from collections.abc import Callable
from typing import NamedTuple

from trivet_common.config.pair import (
    Material,
    PairError,
    date,
    load_authorities,
    load_material,
    read_pair,
    why_unfit,
)
from trivet_common.config.tls import Pair

from .vigil import Vigil

Make = Callable[[], ssl.SSLContext]  # one without a certificate that knows who signs clients' certificates


class Attempt(NamedTuple):
    """What came of reading the files: a context with what it shows, or why there is none."""

    stamp: object
    materials: tuple[Material, ...] = ()
    context: ssl.SSLContext | None = None
    problem: str | None = None


class Shown:
    """At most one pair for each kind of key, for the same names. Without a context it is shut."""

    __slots__ = ("context", "materials", "pairs", "vigil")

    def __init__(self, pairs: tuple[Pair, ...]) -> None:
        self.pairs = pairs
        self.vigil = Vigil(*(path for pair in pairs for path in (pair.certificate, pair.key)))
        self.materials: tuple[Material, ...] = ()
        self.context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        state = "shut" if self.context is None else "shown"
        return f"<Shown {self.pairs[0].certificate} {state}, {self.vigil.problem or 'good'}>"

    @property
    def hosts(self) -> tuple[str, ...]:
        names = (name for material in self.materials for name in material.chain[0].names)
        return self.pairs[0].hosts or tuple(dict.fromkeys(names))

    def attempt(self, make: Make, stamp: object) -> Attempt:
        """Read and load what lies there now. Changes nothing and raises nothing."""
        try:
            materials = tuple(map(read_pair, self.pairs))
            context = self.cast(make, materials)
            for pair, material, before in zip(self.pairs, materials, self._before(), strict=True):
                check_fitness(pair, material, before)
        except Exception as error:  # a boundary: whatever it is, what is shown goes on
            return Attempt(stamp, problem=sentence(error, self.pairs[0]))
        return Attempt(stamp, materials, context)

    def cast(self, make: Make, materials: tuple[Material, ...]) -> ssl.SSLContext:
        """Raises PairError, OSError."""
        context = make()
        for pair, material in zip(self.pairs, materials, strict=True):
            load_material(pair, material, context)
        return context

    def take(self, attempt: Attempt, now: float) -> bool:
        """Whether it is good news."""
        if attempt.problem is not None:
            self.vigil.fail(attempt.stamp, attempt.problem, now)
            return False
        self.context, self.materials = attempt.context, attempt.materials
        self.vigil.succeed(attempt.stamp)
        return True

    def good_news(self) -> str:
        return (
            f"{self.pairs[0].certificate} taken up, good until {date(self.materials[0].chain[0].not_after)}"
        )

    def try_complaint(self, now: float) -> str | None:
        problem = self.vigil.try_complaint(now)
        if problem is None:
            return None
        rest = (
            "nothing is shown for it until it is mended"
            if self.context is None
            else "the certificate before it stays"
        )
        return f"{problem}; {rest}"

    def _before(self) -> tuple[Material | None, ...]:
        return self.materials or (None,) * len(self.pairs)


def check_fitness(pair: Pair, material: Material, before: Material | None) -> Material:
    """An expired one may follow one that has expired, or stand where there was none. Raises PairError."""
    unfit = why_unfit(material.chain)
    if unfit and before is not None and not why_unfit(before.chain):
        raise PairError(f"{pair.certificate}: {unfit}")
    return material


def with_authorities(make: Make, content: bytes | None) -> Make:
    """One that trusts those a file of authorities held; None: nobody is asked."""
    if content is None:
        return make

    def made() -> ssl.SSLContext:
        context = make()
        load_authorities(content, context)
        return context

    return made


def sentence(error: Exception, pair: Pair | None = None) -> str:
    """What is wrong, in words; of what nobody foresaw, its type too."""
    if isinstance(error, PairError):
        return str(error)
    words = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
    return f"{pair.certificate}: {words}" if pair is not None else words
