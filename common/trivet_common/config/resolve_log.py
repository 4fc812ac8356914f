"""Where a route's requests are noted: its own keys over those of `defaults` over the site's."""

from pathlib import Path

from .draft import Draft
from .model import SiteKeys
from .model_routes import RouteKeys
from .nodes import Loc
from .problems import shown
from .reach import why_not_a_folder
from .settings_log import RouteLog

# Each is open in each proxy process.
MOST_FILES = 64
_STREAMS = ("stdout", "stderr")


def resolve_log(keys: RouteKeys, site: SiteKeys, draft: Draft, loc: Loc) -> RouteLog:
    own, default = keys.log, site.defaults.log
    is_own = "file" in own.model_fields_set
    file = own.file if is_own else default.file
    client = own.client or default.client or site.log.client
    if isinstance(file, bool):
        return RouteLog(file, None, client == "masked")
    target = log_target(file, draft, ((*loc, "log") if is_own else ("defaults", "log")), "off")
    return RouteLog(True, None if target == _main(site, draft) else target, client == "masked")


def check_log_files(logs: list[RouteLog], draft: Draft) -> None:
    files = list(dict.fromkeys(log.file for log in logs if log.file is not None))
    if len(files) > MOST_FILES:
        number = next(at for at, log in enumerate(logs) if log.file == files[MOST_FILES])
        draft.mistake(
            ("routes", number, "log"),
            f"there are {len(files)} log files, and {MOST_FILES} can be open",
            "let routes share one: the route's id is in each line",
        )


def log_target(text: str, draft: Draft, loc: Loc, otherwise: str = "stdout, stderr") -> str | Path:
    if text in _STREAMS:
        return text
    path = draft.path(text, *loc)
    reason = why_not_a_folder(path.parent) or (
        f"{shown(path)} is a folder, not a file" if path.is_dir() else None
    )
    if reason:
        draft.mistake(loc, reason, f"write {otherwise}, or a file in a folder that exists")
    return path


def _main(site: SiteKeys, draft: Draft) -> str | Path | None:
    text = site.log.access
    return text if text is None or text in _STREAMS else draft.path(text, "log", "access")
