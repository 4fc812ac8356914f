"""TLS of a listener, as everyone else reads it: plain frozen data.

Knows no context and opens nothing.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate's file and its key's (the same one, where the key stands in it).

    `hosts` are those it is for, lower-case, `*.example.com` among them; () stands for the names it says.
    `where` is its place in the configuration.
    """

    certificate: Path
    key: Path
    hosts: tuple[str, ...] = ()
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Tls:
    """`profile` is intermediate or modern; `client` is off, optional or required. Times in seconds."""

    pairs: tuple[Pair, ...]
    profile: str = "intermediate"
    strict: bool = False
    client: str = "off"
    client_ca: Path | None = None
    handshake_timeout: float = 10.0

    @property
    def files(self) -> list[Path]:
        """All that is read for it."""
        found = [path for pair in self.pairs for path in (pair.certificate, pair.key)]
        return found if self.client_ca is None else [*found, self.client_ca]

    @property
    def fixed(self) -> "Tls":
        """What a reload cannot change: the session tickets' keys are made for it, before the processes."""
        return replace(self, pairs=(), strict=False, client_ca=None, handshake_timeout=0.0)
