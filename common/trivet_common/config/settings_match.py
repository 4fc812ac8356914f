"""What a route asks of a request besides its host, path, scheme and listener. Plain frozen data."""

from dataclasses import dataclass, field

from .addresses import TrustedProxies


@dataclass(frozen=True, slots=True)
class Regex:
    """Bytes that are matched anywhere in a text, as nginx does; `longest` is the longest text in bytes.

    `milliseconds`: what the worst such text may take, roughly.
    """

    text: str
    groups: int = 0
    longest: int = 8192
    milliseconds: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class FieldMatch:
    """A header (in lower case) or a parameter of the query. `value` None: any; `is_absent`: none at all."""

    name: str
    value: str | Regex | None = None
    is_absent: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """All of it must hold. `methods` holds HEAD where it holds GET; `clients` are addresses as believed."""

    path_regex: Regex | None = None
    methods: tuple[str, ...] = ()
    headers: tuple[FieldMatch, ...] = ()
    query: tuple[FieldMatch, ...] = ()
    clients: TrustedProxies | None = None

    def covers(self, other: "Match | None") -> bool:
        """Whether it surely holds wherever `other` does."""
        if other is None:
            return False
        return (
            self.path_regex in (None, other.path_regex)
            and (not self.methods or (bool(other.methods) and set(other.methods) <= set(self.methods)))
            and set(self.headers) <= set(other.headers)
            and set(self.query) <= set(other.query)
            and self._lets_in(other.clients)
        )

    def _lets_in(self, others: TrustedProxies | None) -> bool:
        if self.clients is None:
            return True
        if others is None or (others.unix and not self.clients.unix):
            return False
        return all(
            any(
                wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]
                for wide in self.clients.networks
            )
            for narrow in others.networks
        )
