"""What becomes of a route's answers: pages for errors and maintenance, interception and compression.

One build of a site: what several routes share is made once. What is off is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from trivet_common.config import Route
from trivet_common.config.settings_errors import ErrorPage

from .compression import PackedBodies, compressing
from .error_choice import ErrorChoice, read_page
from .interception import intercepting
from .route import Handler

# Larger files are sent as they are: packed at each request they would cost more than they save. Those that
# `trivet compress` has packed once are sent whatever their size.
LARGEST_FILE = 1024 * 1024


class Answering:
    """`complain(where, text)` is told of pages that cannot be read."""

    def __init__(self, complain: Callable[[str, str], None]) -> None:
        self._complain = complain
        self._read = cache(read_page)
        self._packed = PackedBodies()
        self._choices: dict[tuple[tuple[ErrorPage, ...], Path | None], ErrorChoice | None] = {}

    def __repr__(self) -> str:
        return f"<Answering {self._packed!r}>"

    def choice(self, route: Route) -> ErrorChoice | None:
        maintenance = route.maintenance
        return self.choice_of(
            route.errors, maintenance.page if maintenance is not None else None, route.where
        )

    def choice_of(
        self, pages: tuple[ErrorPage, ...], closed: Path | None = None, where: str = "defaults"
    ) -> ErrorChoice | None:
        """`closed`: the page for maintenance. One for all routes that say the same."""
        key = pages, closed
        if key not in self._choices:
            self._choices[key] = self._read_choice(pages, closed, where)
        return self._choices[key]

    def changed(self, route: Route, handler: Handler) -> Handler:
        """The innermost: what `handler` answers."""
        choice = self.choice(route)
        is_ours = route.pool is None and route.upstream is None
        if choice is not None and choice.does_intercept and not is_ours:
            handler = intercepting(choice, handler)
        if route.compress and route.redirect is None and route.health is None:
            is_file = route.files is not None or route.file is not None
            largest = LARGEST_FILE if is_file else None
            handler = compressing(handler, largest, self._packed if is_ours else None)
        return handler

    def _read_choice(
        self, pages: tuple[ErrorPage, ...], closed: Path | None, where: str
    ) -> ErrorChoice | None:
        if not pages and closed is None:
            return None
        try:
            return ErrorChoice(pages, self._read, closed)
        except OSError as error:
            self._complain(where, f"the page {error.filename} cannot be read: {error.strerror}")
            return None
