"""docs/http.md, drawn from the reasons, the rows and the corpus. A test holds the page to it."""

from collections.abc import Iterable

from tests.requests.corpus import Entry, accepted, refused
from tests.requests.rows import ROWS
from trivet_common.http1.reasons import REASONS

_TOP = """\
# What of HTTP/1.1 is refused, and why

Made from `tests/requests/` and `common/trivet_common/http1/reasons.py`; do not edit it. After a change there,
write it anew:

    python -m tests.requests.page > docs/http.md

Trivet takes a request only if it can have one meaning. What two readers could read differently is answered
with a status of 400 or above and `Connection: close`, nothing behind it on the connection is looked at, and
no application sees any of it. What is taken is written anew from what was understood, for workers and
upstreams alike; a received head is never passed on as it came. The same gate stands before the proxy, before
every slot of a pool and before its sockets for other servers.

All inputs below are in `tests/requests/refuse.txt` and `accept.txt`, byte for byte. Every test run sends them
to the gate in memory, cut at every byte, and over the wire to a proxy, to a slot and to both together
(`tests/whole/test_corpus_wire.py`). `make fuzz` spoils them a million times and compares.
"""
_REASONS = """\
## Reasons

Every answer that is not the application's own names its reason as `why=` in the access log and on the page.

| why | status | whose | meaning |
|---|---|---|---|
"""
_WHOSE = {"client": "the client's", "upstream": "the upstream's", "us": "ours"}


def http_markdown() -> str:
    """The whole page."""
    return "\n".join([_TOP, _classes(refused(), accepted()), _inputs(refused(), accepted()), _reasons()])


def _classes(bad: list[Entry], good: list[Entry]) -> str:
    lines = [
        f"## Classes of inputs\n\n{len(bad)} to refuse and {len(good)} to accept.\n",
        "| row | what | according to | refused | accepted | verdicts |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in ROWS.items():
        refusals = [entry for entry in bad if entry.row == name]
        count = sum(entry.row == name for entry in good)
        verdicts = ", ".join(str(status) for status in sorted({entry.status for entry in refusals}))
        lines.append(
            f"| {name} | {row.title} | {row.source} | {len(refusals) or ''} | {count or ''} | {verdicts} |"
        )
    return "\n".join(lines) + "\n"


def _inputs(bad: list[Entry], good: list[Entry]) -> str:
    lines = ["## The inputs by name\n"]
    for name, row in ROWS.items():
        lines.append(f"- **{row.title}** ({name})")
        lines += _names("refused", (entry.name for entry in bad if entry.row == name))
        lines += _names("accepted", (entry.name for entry in good if entry.row == name))
    return "\n".join(lines) + "\n"


def _names(verdict: str, names: Iterable[str]) -> list[str]:
    listed = ", ".join(names)
    return [f"  - {verdict}: {listed}"] if listed else []


def _reasons() -> str:
    rows = (
        f"| `{why}` | {reason.status} | {_WHOSE[reason.source.value]} | {reason.meaning} |\n"
        for why, reason in REASONS.items()
    )
    return _REASONS + "".join(rows)


if __name__ == "__main__":
    print(http_markdown(), end="")
