"""What an operator reads of certificates: one line each, before a site runs and while it does.

Knows the shape of the proxy's answers, and nothing of TLS.
"""

from collections.abc import Iterator
from typing import Any

from trivet_common.config import Settings

from .words import count, printable

_MOST_HOSTS = 4
_SOON = 14  # days, as for the warning of a load


def checked(settings: Settings) -> Iterator[str]:
    """Of the files a configuration names, which its loading found good."""
    pairs = [pair for listen in settings.listen if listen.tls is not None for pair in listen.tls.pairs]
    if not pairs:
        return
    from trivet_common.config.pair import date, load_pair

    for pair in dict.fromkeys(pairs):
        own = load_pair(pair)[0]
        yield line(
            {
                "certificate": pair.certificate,
                "hosts": pair.hosts or own.names,
                "key": own.kind,
                "expires": date(own.not_after),
                "days_left": own.days_left(),
            }
        )


def shown(rows: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """Of a running site, by its proxy's answer; whether each line is a reason to act."""
    for row in rows:
        yield line(row), int(row.get("days_left") or 0) < _SOON
        if row.get("problem"):
            yield f"  not taken up: {printable(str(row['problem']))}", True
        for index, problem in (row.get("processes") or {}).items():
            if problem != row.get("problem"):
                yield f"  not taken up by proxy process {index}: {printable(str(problem))}", True


def line(row: dict[str, Any]) -> str:
    """One certificate."""
    hosts = [printable(str(host)) for host in row.get("hosts") or ()]
    more = f" and {len(hosts) - _MOST_HOSTS} more" if len(hosts) > _MOST_HOSTS else ""
    names = f"certificate {printable(str(row.get('certificate')))}: {', '.join(hosts[:_MOST_HOSTS])}{more}"
    if row.get("expires") is None:
        return f"{names}{'; ' if hosts else ''}nothing is shown"
    days = int(row.get("days_left") or 0)
    left = f"{count(days, 'day')} left" if days >= 0 else f"expired {count(-days, 'day')} ago"
    return f"{names}; {row.get('key')}, {left} (until {row.get('expires')})"
