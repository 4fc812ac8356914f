"""The access log: one line a request, in one of three formats, written in batches.

Owns the record and its formats. What a line is worth (a route's `log: off`) is decided elsewhere.
"""

import json
import time
from collections.abc import Callable
from functools import lru_cache

from trivet_common.log_target import LogTarget, Target


class AccessRecord:
    """What happened to one request; filled on its way through the proxy. Times in seconds, sizes in bytes.

    The defaults are the class's: most of them stay, and setting all of them anew took longer than the rest.
    """

    time = 0.0  # epoch, when the head was complete
    client = ""
    user = ""
    method = ""
    target = ""
    version = "HTTP/1.1"
    status = 0
    sent = 0  # bytes of the body, as nginx's $body_bytes_sent
    referer = ""
    user_agent = ""
    host = ""
    request_id = ""
    route = ""
    upstream = ""  # the slot (w3.0) or the server
    total = 0.0
    queued = 0.0
    why = ""

    def __repr__(self) -> str:
        return f"<AccessRecord {self.method} {self.target} {self.status} {self.why}>"


class AccessLog:
    """Formats records and keeps them until flushed (once a second, and when 64 KiB wait)."""

    __slots__ = ("_format", "_lost_seen", "_lost_told", "_target", "_title")

    def __init__(self, target: Target, format: str, title: str = "the access log") -> None:
        """`title`: what it is called where lines were lost."""
        self._target = LogTarget(target)
        self._title = title
        self._format = FORMATS[format]
        self._lost_seen = self._lost_told = 0

    def __repr__(self) -> str:
        return f"<AccessLog {self._target!r}>"

    @property
    def lost(self) -> int:
        """Lines that could not be written and were dropped."""
        return self._target.lost

    def tell_lost(self, tell: Callable[[str], None]) -> None:
        """Ask once a second: it is told when it grows no more; on a full disk it grows all the time."""
        lost, seen = self.lost, self._lost_seen
        self._lost_seen = lost
        if self._lost_told < lost == seen:
            self._lost_told = lost
            tell(f"{lost} lines of {self._title} could not be written so far")

    def write(self, record: AccessRecord) -> None:
        if self._target.add(self._format(record).encode("utf-8", "backslashreplace")):
            self._target.flush()

    def flush(self) -> None:
        self._target.flush()

    def reopen(self) -> None:
        """Raises LogError; the old file is kept then."""
        self._target.reopen()

    def close(self) -> None:
        self._target.close()


def combined(record: AccessRecord) -> str:
    """Apache's and nginx's combined format, exactly."""
    return _combined(record, _is_plain(record)) + "\n"


def trivet(record: AccessRecord) -> str:
    """The combined format and, after it, name=value pairs: nothing that reads the former breaks."""
    is_plain = _is_plain(record)
    host = (record.host or "-") if is_plain else _word(record.host)
    why = f" why={_word(record.why)}" if record.why else ""
    return (
        f"{_combined(record, is_plain)} host={host} id={record.request_id or '-'}"
        f" route={_known_word(record.route)} upstream={record.upstream or '-'}"
        f" total={record.total:.3f} queued={record.queued:.3f}{why}\n"
    )


def as_json(record: AccessRecord) -> str:
    """One JSON object a line."""
    values: dict[str, object] = {name: _text(getattr(record, name)) for name in _NAMES}
    values["time"] = _iso(record.time)
    values["version"] = record.version if record.method else ""
    values["total"] = round(record.total, 6)
    values["queued"] = round(record.queued, 6)
    # ensure_ascii escapes every control character but DEL, and lone surrogates.
    return (
        json.dumps({name: value for name, value in values.items() if value != ""}).replace("\x7f", "\\u007f")
        + "\n"
    )


FORMATS: dict[str, Callable[[AccessRecord], str]] = {"trivet": trivet, "combined": combined, "json": as_json}

_NAMES = sorted(name for name in vars(AccessRecord) if not name.startswith("_"))

_second = -1
_stamp = ""


def _is_plain(record: AccessRecord) -> bool:
    """Is all that a client chose free of anything to escape? One look at all of it is the ordinary case."""
    method = record.method
    said = f"{method}{record.target}{record.referer}{record.user_agent}{record.host}{record.request_id}"
    # What never became a request has no request line.
    return said.isascii() and said.isprintable() and '"' not in said and "\\" not in said and method != ""


def _combined(record: AccessRecord, is_plain: bool) -> str:
    if is_plain:
        return (
            f"{record.client or '-'} - {_word(record.user) if record.user else '-'} [{_time(record.time)}]"
            f' "{record.method} {record.target} {record.version}" {record.status} {record.sent}'
            f' "{record.referer or "-"}" "{record.user_agent or "-"}"'
        )
    return (
        f"{record.client or '-'} - {_word(record.user)} [{_time(record.time)}]"
        f' "{_request_line(record)}" {record.status} {record.sent}'
        f' "{_quoted(record.referer) or "-"}" "{_quoted(record.user_agent) or "-"}"'
    )


def _request_line(record: AccessRecord) -> str:
    if not record.method:
        return "-"  # what never became a request
    return f"{_quoted(record.method)} {_quoted(record.target)} {record.version}"


def _quoted(text: str) -> str:
    """As nginx does: a quote is \\x22, so that what reads up to the next quote reads all of it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(map(_shown, text))


def _shown(char: str) -> str:
    if " " <= char <= "~" and char not in '"\\':
        return char
    # What a client sent is kept as latin-1: a character is a byte.
    return "".join(
        f"\\x{byte:02X}" for byte in char.encode("latin-1" if char <= "\xff" else "utf-8", "replace")
    )


def _word(text: str) -> str:
    if not text:
        return "-"
    return _quoted(text) if " " not in text else _quoted(text).replace(" ", "\\x20")


# Of routes there are no more than the file has.
_known_word = lru_cache(maxsize=1024)(_word)


def _text(value: object) -> object:
    """Bytes that were kept as latin-1, read as the UTF-8 they mostly are."""
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _time(at: float) -> str:
    # Once a second, not once a line: strftime was the dearest part of a line.
    global _second, _stamp
    if int(at) != _second:
        _second = int(at)
        _stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z", time.localtime(_second))
    return _stamp


def _iso(at: float) -> str:
    local = time.strftime("%Y-%m-%dT%H:%M:%S{}%z", time.localtime(at)).format(f".{int(at % 1 * 1000):03d}")
    return local[:-2] + ":" + local[-2:]
