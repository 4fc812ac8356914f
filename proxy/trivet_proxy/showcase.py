"""What one listener shows, and who signs the certificates of its clients, as loaded for a configuration.

Whose certificates count is settled apart from what is shown: a broken pair keeps nobody in who was taken out.
Knows neither names that are asked for nor sessions.
"""

import functools
import itertools
import ssl
from typing import NamedTuple

from trivet_common.certificates import Certificate
from trivet_common.config.pair import (
    Material,
    PairError,
    date,
    read_authorities,
    read_pair,
    try_pair,
)
from trivet_common.config.sighting import fingerprint
from trivet_common.config.tls import Pair, Tls

from .shown import Attempt, Make, Shown, check_fitness, sentence, with_authorities
from .vigil import Vigil

News = tuple[bool, str]  # whether it is good, and a sentence
_Read = tuple[Pair, tuple[object, ...], Material]  # with a stamp of the files


class Look(NamedTuple):
    """What lies on disk, loaded. Nothing has changed yet."""

    attempts: dict[Shown, Attempt]
    stamp: object = None  # of the authorities, where they were read
    authorities: bytes | None = None
    problem: str | None = None  # with the authorities
    recast: dict[Shown, ssl.SSLContext] = {}  # the same certificates with other authorities
    refilled: "Showcase | None" = None  # instead, since something that was shut can be shown


class Showcase:
    """`shown` in the order of the configuration. Those without a context are shut."""

    __slots__ = ("_make", "authorities", "shown", "signers", "tls")

    def __init__(self, tls: Tls, make: Make) -> None:
        self._make = make
        self.tls = tls
        self.shown: list[Shown] = []
        self.signers = Vigil(tls.client_ca)
        self.authorities: bytes | None = None  # the file, as it was last good

    def __repr__(self) -> str:
        return f"<Showcase {self.shown!r} {self.signers!r}>"

    # A new one.

    @classmethod
    def filled(cls, tls: Tls, make: Make) -> "Showcase":
        """Raises PairError, OSError: all of it or nothing."""
        case = cls(tls, make)
        if tls.client_ca is not None:
            stamp = case.signers.glance()
            case.authorities = read_authorities(tls.client_ca)
            case.signers.succeed(stamp)
        for pairs, materials, stamp in _grouped(
            [(pair, _stamp(pair), read_pair(pair)) for pair in tls.pairs]
        ):
            one = Shown(pairs)
            context = one.cast(case._whole_make(), materials)
            one.take(Attempt(stamp, materials, context), 0.0)
            case.shown.append(one)
        return case

    @classmethod
    def filled_if_possible(cls, tls: Tls, make: Make, now: float, before: "Showcase | None") -> "Showcase":
        """What cannot be loaded is as it was before, or shut. Raises nothing."""
        case = cls(tls, make)
        if before is not None and before.tls.client_ca == tls.client_ca:
            case.authorities = before.authorities
        if tls.client_ca is not None:
            case._take_authorities(*case._read_authorities(case.signers.glance()), now)
        kept = before.kept if before is not None else {}
        readable: list[_Read] = []
        problems: dict[Pair, str] = {}
        stamps: dict[Pair, tuple[object, ...]] = {}
        for pair in tls.pairs:
            stamps[pair], material = _stamp(pair), kept.get(pair)
            try:
                material = check_fitness(pair, try_pair(pair), material)
            except Exception as error:  # a boundary: whatever it is, the others are shown
                problems[pair] = sentence(error, pair)
            if material is not None:
                readable.append((pair, stamps[pair], material))
        for pairs, materials, stamp in _grouped(readable):
            case._show(Shown(pairs), materials, stamp, problems, now)
        for pair in tls.pairs:
            if pair in problems and pair not in kept:
                case._show(Shown((pair,)), (), stamps[pair], problems, now)
        return case

    def _show(
        self,
        one: Shown,
        materials: tuple[Material, ...],
        stamp: object,
        problems: dict[Pair, str],
        now: float,
    ) -> None:
        problem = next((problems[pair] for pair in one.pairs if pair in problems), None)
        self.shown.append(one)
        if materials:
            try:
                one.take(Attempt(stamp, materials, one.cast(self._whole_make(), materials)), now)
            except Exception as error:
                problem = problem or sentence(error, one.pairs[0])
        if problem is not None:
            one.take(Attempt(stamp, problem=problem), now)

    # The files.

    @property
    def kept(self) -> dict[Pair, Material]:
        """What was last good, by where it came from."""
        loaded = [one for one in self.shown if one.materials]
        return {
            pair: material for one in loaded for pair, material in zip(one.pairs, one.materials, strict=True)
        }

    def has_news(self) -> bool:
        """Whether anything is to be read, sooner or later."""
        signers = [self.signers] if self.tls.client_ca is not None else []
        return any(vigil.has_news() for vigil in (*signers, *(one.vigil for one in self.shown)))

    def examine(self, now: float) -> Look:
        """Read what has changed or is to be tried again. Changes nothing here: a thread may do it."""
        look = self._look_at_signers(now)
        is_new = look.problem is None and look.authorities not in (None, self.authorities)
        make = self._whole_make(look.authorities if is_new else None)
        for one in self.shown:
            stamp = one.vigil.glance()
            if one.vigil.is_due(stamp, now) or (is_new and one.context is None):
                look.attempts[one] = one.attempt(make, stamp)
        if any(one.context is None and attempt.problem is None for one, attempt in look.attempts.items()):
            return look._replace(refilled=self.filled_if_possible(self.tls, self._make, now, self))
        if not is_new:
            return look
        try:
            recast = {one: one.cast(make, one.materials) for one in self.shown if one.materials}
        except Exception as error:  # as it was, with all of them: no name shall be easier than the others
            return Look({}, look.stamp, problem=sentence(error))
        return look._replace(recast=recast)

    def take_up(self, look: Look, now: float) -> list[News]:
        """What `examine` found, and what is worth saying of it."""
        news: list[News] = []
        if look.stamp is not None:
            if look.problem is None and look.authorities != self.authorities:
                news.append(self._news_of_authorities())
            self._take_authorities(look.stamp, look.authorities, look.problem, now)
        for one, context in look.recast.items():
            one.context = context
        for one, attempt in look.attempts.items():
            if one.take(attempt, now):
                news.append((True, one.good_news()))
        return news

    def news_since(self, before: "Showcase") -> list[News]:
        """Of what was shut then and is shown now, and of who signs if that is why."""
        are_others = self.authorities not in (None, before.authorities)
        then = {pair for one in before.shown if one.context is not None for pair in one.pairs}
        return [self._news_of_authorities()] * are_others + [
            (True, one.good_news())
            for one in self.shown
            if one.context is not None and not then.issuperset(one.pairs)
        ]

    def _news_of_authorities(self) -> News:
        return True, f"{self.tls.client_ca} taken up: clients' certificates are judged by it"

    def complaints(self, now: float) -> list[News]:
        said = [one.try_complaint(now) for one in self.shown]
        if problem := self.signers.try_complaint(now):
            stays = "the file before it counts"
            rest = stays if self.authorities is not None else "nobody is let in until it is mended"
            said.append(f"{problem}; {rest}")
        return [(False, text) for text in said if text]

    def status(self) -> list[dict[str, object]]:
        """A row a certificate; where nothing is shown, the key and the time are None."""
        return [
            {
                "certificate": str(pair.certificate),
                "hosts": list(one.hosts),
                "key": own.kind if own else None,
                "expires": date(own.not_after) if own else None,
                "days_left": own.days_left() if own else None,
                "problem": one.vigil.problem or self.signers.problem,
            }
            for one in self.shown
            for pair, own in _own_certificates(one)
        ]

    def _look_at_signers(self, now: float) -> Look:
        if self.tls.client_ca is None:
            return Look({})
        stamp = self.signers.glance()
        if not self.signers.is_due(stamp, now):
            return Look({}, authorities=self.authorities)
        return Look({}, *self._read_authorities(stamp))

    def _read_authorities(self, stamp: object) -> tuple[object, bytes | None, str | None]:
        assert self.tls.client_ca is not None
        try:
            return stamp, read_authorities(self.tls.client_ca), None
        except Exception as error:
            return stamp, None, sentence(error)

    def _take_authorities(
        self, stamp: object, content: bytes | None, problem: str | None, now: float
    ) -> None:
        if problem is not None:
            self.signers.fail(stamp, problem, now)
        else:
            self.authorities = content
            self.signers.succeed(stamp)

    def _whole_make(self, authorities: bytes | None = None) -> Make:
        """A context that asks for certificates and knows nobody to sign them is none to begin with."""
        authorities = authorities or self.authorities
        if self.tls.client_ca is not None and authorities is None:
            return functools.partial(_refuse, self.signers.problem)
        return with_authorities(self._make, authorities)


def _refuse(problem: str | None) -> ssl.SSLContext:
    raise PairError(problem or "nobody says who signs the clients' certificates")


def _grouped(found: list[_Read]) -> list[tuple[tuple[Pair, ...], tuple[Material, ...], object]]:
    """Those for the same names stand side by side."""
    groups: dict[frozenset[str], list[_Read]] = {}
    for pair, stamp, material in found:
        groups.setdefault(frozenset(pair.hosts or material.chain[0].names), []).append(
            (pair, stamp, material)
        )
    return [
        (
            tuple(pair for pair, _, _ in group),
            tuple(material for _, _, material in group),
            tuple(itertools.chain.from_iterable(stamp for _, stamp, _ in group)),
        )
        for group in groups.values()
    ]


def _stamp(pair: Pair) -> tuple[object, ...]:
    return fingerprint(pair.certificate, pair.key)


def _own_certificates(one: Shown) -> list[tuple[Pair, Certificate | None]]:
    own: list[Certificate | None] = [material.chain[0] for material in one.materials]
    return list(zip(one.pairs, own or [None] * len(one.pairs), strict=True))
