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
    try_pair,
    why_unfit,
)
from trivet_common.config.tls import Pair

from .vigil import Vigil

Make = Callable[[], ssl.SSLContext]  # one without a certificate that knows who signs clients' certificates


class Attempt(NamedTuple):
    """What came of reading the files: a context with what it shows, or what is wrong.

    Or both: one pair is new, and with another something is wrong.
    """

    stamp: object
    materials: tuple[Material, ...] = ()
    context: ssl.SSLContext | None = None
    problem: str | None = None


class Shown:
    """At most one pair for each kind of key, for the same names. Without a context it is shut."""

    __slots__ = ("_newest", "context", "materials", "pairs", "vigil")

    def __init__(self, pairs: tuple[Pair, ...]) -> None:
        self.pairs = pairs
        self.vigil = Vigil(*(path for pair in pairs for path in (pair.certificate, pair.key)))
        self.materials: tuple[Material, ...] = ()
        self.context: ssl.SSLContext | None = None
        self._newest = 0  # which of the pairs has changed last

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
            return self._attempt_each(make, Attempt(stamp, problem=sentence(error, self.pairs[0])))
        return Attempt(stamp, materials, context)

    def _attempt_each(self, make: Make, failed: Attempt) -> Attempt:
        """Of RSA and ECDSA side by side, one that is broken does not hold back the other's renewal."""
        if len(self.pairs) == 1 or not self.materials:
            return failed
        materials = tuple(map(_renewed, self.pairs, self.materials))
        if materials == self.materials:
            return failed
        try:
            return failed._replace(materials=materials, context=self.cast(make, materials))
        except Exception:  # the boundary too
            return failed

    def cast(self, make: Make, materials: tuple[Material, ...]) -> ssl.SSLContext:
        """Raises PairError, OSError."""
        context = make()
        for pair, material in zip(self.pairs, materials, strict=True):
            load_material(pair, material, context)
        return context

    def take(self, attempt: Attempt, now: float) -> bool:
        """Whether it is good news."""
        if attempt.context is not None:
            changes = [one != other for one, other in zip(attempt.materials, self.materials, strict=False)]
            self._newest = changes.index(True) if True in changes else 0
            self.context, self.materials = attempt.context, attempt.materials
        if attempt.problem is not None:
            self.vigil.fail(attempt.stamp, attempt.problem, now)
        else:
            self.vigil.succeed(attempt.stamp)
        return attempt.context is not None

    def good_news(self) -> str:
        own = self.materials[self._newest].chain[0]
        return f"{self.pairs[self._newest].certificate} taken up, good until {date(own.not_after)}"

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


def _renewed(pair: Pair, before: Material) -> Material:
    try:
        return check_fitness(pair, try_pair(pair), before)
    except Exception:  # what is wrong with it has been found already
        return before


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
