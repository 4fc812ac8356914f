"""How a route changes the path it passes on. Plain frozen data."""

from dataclasses import dataclass

from .settings_match import Regex


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Where `regex` is found in the path (None: always), it becomes `to`: a template, perhaps with a query.

    {1} to {9} are groups of `regex`; without one, of the route's path_regex.
    """

    to: str
    regex: Regex | None = None
