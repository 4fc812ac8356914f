"""A configuration on its way to Settings: the written tree, the findings so far, and who asks.

Gives each check the place and folder of what it looks at; owns no check itself.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from .nodes import Loc, Node
from .problems import Findings, Mistake, Place, shown
from .reach import why_not_a_file, why_not_a_folder
from .validate import label


class Draft:
    """For one load."""

    def __init__(
        self,
        tree: Node,
        findings: Findings,
        purpose: str,
        environ: Mapping[str, str],
        names: dict[str, list[str]],
        is_restart: bool = False,
    ) -> None:
        self.tree = tree
        self.findings = findings
        self.purpose = purpose
        self.environ = environ
        # Names of pools and upstreams as written, those with mistakes too.
        self.names = names
        # A run that was killed: what has broken since it began keeps only itself from being served.
        self.is_restart = is_restart

    def __repr__(self) -> str:
        return f"<Draft {self.tree.place} for {self.purpose}: {self.findings!r}>"

    @property
    def checks_front(self) -> bool:
        """Whether listeners and static files are ours to check."""
        return self.purpose != "backend"

    @property
    def checks_applications(self) -> bool:
        """Whether the applications' folders, files and users are ours to check."""
        return self.purpose != "proxy"

    def place(self, *loc: str | int) -> Place:
        return self.tree.at(loc).place

    def mistake(self, loc: Loc, message: str, hint: str = "") -> None:
        self.findings.mistake(self.place(*loc), f"{label(self._written(loc))}: {message}", hint)

    def trouble(self, loc: Loc, message: str, hint: str = "") -> None:
        """A mistake, unless the site was served a moment ago."""
        if self.is_restart:
            self.warning(loc, message, hint)
        else:
            self.mistake(loc, message, hint)

    def report(self, loc: Loc, mistake: Mistake) -> None:
        self.mistake(loc, mistake.message, mistake.hint)

    def warning(self, loc: Loc, message: str, hint: str = "") -> None:
        self.findings.warning(self.place(*loc), f"{label(loc)}: {message}", hint)

    def _written(self, loc: Loc) -> Loc:
        """The part of `loc` that was written, where a short form stands for a section."""
        node = self.tree
        for depth, key in enumerate(loc):
            if not isinstance(node.value, (dict, list)):
                return loc[:depth]
            node = node.child(key) or node
        return loc

    def path(self, text: str, *loc: str | int) -> Path:
        """Relative to the folder of the file it is written in."""
        return Path(os.path.normpath(self.tree.at(loc).folder / os.path.expanduser(text)))

    def folder(self, text: str, *loc: str | int, check: bool = True) -> Path:
        """A path that must be a folder."""
        path = self.path(text, *loc)
        if check and (reason := why_not_a_folder(path)):
            self.mistake(
                loc,
                reason,
                f"make the folder, or correct the path {shown(text)}" if "there is no" in reason else "",
            )
        return path

    def file(self, text: str, *loc: str | int, check: bool = True) -> Path:
        """A path that must be a readable file."""
        path = self.path(text, *loc)
        if check and (reason := why_not_a_file(path)):
            self.mistake(loc, reason, f"correct the path {shown(text)}" if "there is no" in reason else "")
        return path
