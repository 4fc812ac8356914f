"""What every drill needs: how long it may take, and whether the site is at its end what it was before.

TRIVET_DRILL_SECONDS bounds each drill's load, for a look in between; without it they run at full length.
"""

import os
import re
from collections import Counter

from tests.whole.leaks import KEPT_TO_SLOTS, Held, descriptors
from tests.whole.running import Site, wait_until


def seconds(full: float) -> float:
    return min(full, float(os.environ.get("TRIVET_DRILL_SECONDS", full)))


def share(full: int, least: int = 1) -> int:
    """How many, of what a drill does `full` times where it takes a minute or more."""
    return max(least, round(full * seconds(60.0) / 60.0))


class Inventory:
    """Processes, descriptors, files and boards of a site at rest; `check` fails when there are more later.

    `slots` is how many slots its pools have. A process may be another one by then; its kind counts.
    """

    def __init__(self, site: Site, slots: int) -> None:
        self._site = site
        self._slots = slots
        self._kinds = kinds(site)
        self._files = files(site)
        self._held: dict[str, Held] = {}
        for pid, title in site.processes().items():
            self._held[kind(title)] = self._held.get(kind(title), Counter()) | descriptors(pid)

    def __repr__(self) -> str:
        return f"<Inventory {dict(self._kinds)} {dict(self._files)}>"

    def check(self, seconds: float = 10.0) -> str:
        """A line for the report. Raises AssertionError with what there is too much or too little of."""
        found: list[str] = []

        def is_as_before() -> bool:
            found[:] = self._differences()
            return not found

        try:
            wait_until(is_as_before, seconds)
        except AssertionError:
            raise AssertionError(f"not as before: {found}") from None
        return f"at rest: {self._kinds.total()} processes, {self._files.total()} files, no descriptor more"

    def _differences(self) -> list[str]:
        now, there = kinds(self._site), files(self._site)
        found = [f"{name}: {now[name]} for {self._kinds[name]}" for name in now | self._kinds
                 if now[name] != self._kinds[name]]  # fmt: skip
        found += [f"{name}: {there[name]} for {self._files[name]}" for name in there | self._files
                  if there[name] != self._files[name]]  # fmt: skip
        if found:
            return found
        for pid, title in self._site.processes().items():
            try:
                more = descriptors(pid)
            except FileNotFoundError:
                return [f"{title} is gone"]
            more.subtract(self._held[kind(title)])
            # Both ends of a proxy's connections to the slots, which it keeps as it likes.
            more["unix"] = max(more["unix"] - KEPT_TO_SLOTS * self._slots, 0)
            # It opens a worker's board with the first request it sends there.
            more["file"] = max(more["file"] - there["run/web/wN.board"], 0)
            found += [f"{title}: {dict(+more)} more"] if +more else []
        return found


def kind(title: str) -> str:
    """The title without the numbers and the place that tell one of a kind from the other."""
    return re.sub(
        r" process \d+|(?<=worker )(\S+) \d+|\(.*\)", lambda found: f" {found[1] or ''}", title
    ).strip()


def kinds(site: Site) -> Counter[str]:
    return Counter(kind(title) for title in site.processes().values())


def files(site: Site) -> Counter[str]:
    """What lies in the run directory, and what was spooled; incarnations have no number here."""
    found = [path for name in ("run", "spool") for path in (site.folder / name).rglob("*")]
    return Counter(re.sub(r"w\d+\.", "wN.", str(path.relative_to(site.folder))) for path in found)


def print_report(name: str, *lines: str) -> None:
    print(f"\n{name}\n" + "\n".join(f"  {line}" for line in lines), flush=True)
