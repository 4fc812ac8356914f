"""The way in through one TLS listener: which certificate a name gets, and which sessions go on.

Made by the master before the processes are forked; each process then looks at the files for itself. Knows
no connection.
"""

import functools
import socket
import ssl
import time
from collections.abc import Callable

from trivet_common.config.tls import Tls

from .showcase import Look, News, Showcase
from .ticket_keys import TicketKeys
from .tls_profile import new_context

Found = tuple[Showcase, Look]  # whose, and what lies on disk


class Door:
    """For one listener. `wrap` what it accepted; `look` now and then."""

    def __init__(self, tls: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        """What cannot be loaded is shut until it can: other names and other listeners have done nothing."""
        self._clock = clock
        self._make = functools.partial(new_context, tls.profile, tls.client)
        self._keys = TicketKeys(self._make, clock=clock)
        self._open = self._keys.context()
        self._open.sni_callback = self._choose
        # for the configuration
        self.tls = tls
        self._case = Showcase.filled_if_possible(tls, self._make, clock(), None)
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._default: ssl.SSLContext | None = None
        self._index()

    def __repr__(self) -> str:
        return f"<Door {self._case!r}, {self._keys!r}>"

    def prepare(self, tls: Tls) -> Showcase:
        """The first half of a change: everything is loaded, nothing changed. Raises PairError, OSError."""
        return Showcase.filled(tls, self._make)

    def prepare_if_possible(self, tls: Tls) -> Showcase:
        """The same; what cannot be loaded stays as it is, or is shut."""
        return Showcase.filled_if_possible(tls, self._make, self._clock(), self._case)

    def take(self, case: Showcase) -> None:
        """The second half."""
        before, self._case, self.tls = self._case.authorities, case, case.tls
        self._forget_if_others_are_asked(before)
        self._index()

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        """Raises OSError."""
        return self._open.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    def look(self) -> list[News]:
        """Take up what has changed on disk; what is worth saying of it."""
        return self.take_up(self.examine())

    def has_news(self) -> bool:
        """Whether the files are worth reading."""
        return self._case.has_news()

    def examine(self) -> Found:
        """The slow half of a look: changes nothing, so a thread may do it."""
        case = self._case
        return case, case.examine(self._clock())

    def take_up(self, found: Found) -> list[News]:
        """The other half."""
        self._renew_keys()
        (case, look), now = found, self._clock()
        if case is not self._case:
            return []  # a reload came between
        before = case.authorities
        if look.refilled is not None:
            self.take(look.refilled)
            return look.refilled.news_since(case)
        news = case.take_up(look, now)
        if look.recast or look.attempts:
            self._index()
        self._forget_if_others_are_asked(before)
        return news + case.complaints(now)

    def status(self) -> list[dict[str, object]]:
        """A row a certificate."""
        return self._case.status()

    # Which one.

    def _choose(self, sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        """Called by OpenSSL for every full handshake, with a name or without."""
        context = self._find(name) if name else None
        if context is None:
            if self.tls.strict:
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            context = self._default
            if context is None:
                return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR  # all of it is shut
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
        self._by_name, self._default = {}, None
        for one in self._case.shown:
            if one.context is None:
                continue
            self._default = self._default or one.context
            for host in one.hosts:
                self._by_name.setdefault(host, one.context)

    # Sessions.

    def _renew_keys(self) -> None:
        context = self._keys.context()
        if context is not self._open:
            self._use(context)

    def _forget_if_others_are_asked(self, before: bytes | None) -> None:
        """Who was let in by authorities that have changed is to be asked again."""
        if self._case.authorities != before:
            self._use(self._keys.forget())

    def _use(self, context: ssl.SSLContext) -> None:
        context.sni_callback = self._choose
        self._open = context
