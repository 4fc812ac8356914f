"""The way in through one TLS listener: its contexts, which certificate a name gets, and files that change.

Made by the master before the processes are forked; each process then looks at the files for itself. A pair
that cannot be served leaves the one before it in place, and says why. Knows no connection.
"""

import functools
import socket
import ssl
import time
from collections.abc import Callable, Iterable

from trivet_common.certificates import Certificate
from trivet_common.config.pair import (
    PairError,
    date,
    fingerprint,
    load_authorities,
    load_pair,
    why_unfit,
)
from trivet_common.config.tls import Pair, Tls

from .ticket_keys import TicketKeys
from .tls_groups import set_groups

# Mozilla's guideline 5.8, intermediate: forward secrecy and AEAD only. TLS 1.3 has its own three suites.
_CIPHERS = ":".join(
    f"ECDHE-{kind}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for kind in ("ECDSA", "RSA")
)
_VERIFY = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
# A new pair comes as two files: what is wrong for a shorter time than this (s) is the moment between them.
_SETTLED = 1.0


News = tuple[bool, str]  # whether it is good, and a sentence


def new_context(profile: str, client: str) -> ssl.SSLContext:
    """Without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    modern = profile == "modern"
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if modern else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    set_groups(context)
    # Compression gives secrets away (CVE-2012-4929); renegotiating costs us more than who asks for it
    # (CVE-2011-1473). All suites are good: who has no hardware for AES may prefer another one.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.verify_mode = _VERIFY[client]
    return context


class Shown:
    """One context and the pairs it shows, for the same hosts: at most one for each kind of key."""

    __slots__ = ("chains", "context", "pairs", "problem", "stamp", "told", "wrong_since")

    def __init__(self, pairs: tuple[Pair, ...]) -> None:
        self.pairs = pairs
        self.context: ssl.SSLContext | None = None
        self.chains: tuple[tuple[Certificate, ...], ...] = ()
        self.stamp: object = None  # of the files as they were last looked at
        self.problem: str | None = None  # with what lies there now, while an older one is shown
        self.wrong_since = 0.0
        self.told = False

    def __repr__(self) -> str:
        return f"<Shown {self.pairs[0].certificate} {self.problem or 'good'}>"

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.pairs[0].hosts or tuple(dict.fromkeys(n for chain in self.chains for n in chain[0].names))


class Door:
    """For one listener. `wrap` what it accepted; `look` now and then."""

    def __init__(self, tls: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises PairError."""
        self._clock = clock
        self._make = functools.partial(new_context, tls.profile, tls.client)
        self._keys = TicketKeys(self._make, clock=clock)
        self._authorities: object = None
        self.tls = tls
        self._shown: list[Shown] = []
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._default: ssl.SSLContext | None = None
        self._open = self._keys.context()
        self._open.sni_callback = self._choose
        self.configure(tls)

    def __repr__(self) -> str:
        return f"<Door {len(self._shown)} certificates, {self._keys!r}>"

    def configure(self, tls: Tls) -> None:
        """Other certificates, all of them or none. Raises PairError."""
        shown = self.prepare(tls)
        self.take(tls, shown)

    def prepare(self, tls: Tls) -> list[Shown]:
        """The first half: everything is loaded, nothing changed. Raises PairError."""
        groups: dict[frozenset[str], list[Pair]] = {}
        for pair in tls.pairs:
            groups.setdefault(frozenset(pair.hosts or load_pair(pair)[0].names), []).append(pair)
        shown = [Shown(tuple(pairs)) for pairs in groups.values()]
        for one in shown:
            one.stamp = self._stamp(one, tls)
            self._load(one, tls)
        return shown

    def take(self, tls: Tls, shown: list[Shown]) -> None:
        """The second half."""
        self.tls, self._shown = tls, shown
        self._forget_if_others_are_asked()
        self._index()

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Raises OSError."""
        return self._open.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def look(self) -> list[News]:
        """Take up what has changed on disk; what is worth saying of it."""
        news: list[News] = []
        self._renew_keys()
        for one in self._shown:
            stamp = self._stamp(one, self.tls)
            if stamp != one.stamp:
                one.stamp = stamp
                self._reload(one, news)
            if one.problem and not one.told and self._clock() - one.wrong_since >= _SETTLED:
                one.told = True
                news.append((False, f"{one.problem}; the certificate before it stays"))
        return news

    def status(self) -> list[dict[str, object]]:
        """A row a certificate."""
        return [
            {
                "certificate": str(pair.certificate),
                "hosts": list(one.hosts),
                "key": chain[0].kind,
                "expires": date(chain[0].not_after),
                "days_left": chain[0].days_left(),
                "problem": one.problem,
            }
            for one in self._shown
            for pair, chain in zip(one.pairs, one.chains, strict=True)
        ]

    # Which one.

    def _choose(self, sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        """Called by OpenSSL for every full handshake, with a name or without."""
        context = self._find(name) if name else None
        if context is None:
            if self.tls.strict:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            context = self._default
        assert context is not None
        sock.context = context
        return None

    def _find(self, name: str) -> ssl.SSLContext | None:
        name = name.lower().rstrip(".")
        found = self._by_name.get(name)
        dot = name.find(".")
        while found is None and dot > 0:
            found = self._by_name.get(f"*{name[dot:]}")
            dot = name.find(".", dot + 1)
        return found

    def _index(self) -> None:
        self._by_name = {}
        for one in self._shown:
            assert one.context is not None
            for host in one.hosts:
                self._by_name.setdefault(host, one.context)
        self._default = self._shown[0].context

    # The files.

    def _stamp(self, one: Shown, tls: Tls) -> object:
        paths = [path for pair in one.pairs for path in (pair.certificate, pair.key)]
        return fingerprint(*paths, tls.client_ca)

    def _load(self, one: Shown, tls: Tls) -> None:
        """Raises PairError, and then nothing has changed."""
        context = self._make()
        chains = tuple(load_pair(pair, context) for pair in one.pairs)
        if tls.client_ca is not None:
            load_authorities(tls.client_ca, context)
        one.context, one.chains = context, chains

    def _reload(self, one: Shown, news: list[News]) -> None:
        before, chains = one.context, one.chains
        problem = None
        try:
            self._load(one, self.tls)
        except PairError as error:
            problem = str(error)
        else:
            unfit = _first(why_unfit(chain) for chain in one.chains)
            if unfit and not _first(why_unfit(chain) for chain in chains):
                problem = f"{one.pairs[0].certificate}: {unfit}"
                one.context, one.chains = before, chains
        if problem is not None:
            if problem != one.problem:
                one.wrong_since, one.told = self._clock(), False
            one.problem = problem
            return
        one.problem = None
        self._forget_if_others_are_asked()
        self._index()
        own = one.chains[0][0]
        news.append((True, f"{one.pairs[0].certificate} taken up, good until {date(own.not_after)}"))

    def _renew_keys(self) -> None:
        context = self._keys.context()
        if context is not self._open:
            self._use(context)

    def _forget_if_others_are_asked(self) -> None:
        """Who was let in by authorities that have changed is to be asked again."""
        authorities = fingerprint(self.tls.client_ca)
        if self._authorities is not None and authorities != self._authorities:
            self._use(self._keys.forget())
        self._authorities = authorities

    def _use(self, context: ssl.SSLContext) -> None:
        context.sni_callback = self._choose
        self._open = context


def _first(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem in problems if problem), None)
