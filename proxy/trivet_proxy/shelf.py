"""What is known of files that were asked for lately: their siblings, headers, and of small ones the bytes.

Bounded by bytes and by number, the least recently used goes first. Nothing here is believed for longer than a
second. Opens nothing.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable

from .codings import acceptable
from .open_files import OpenFiles
from .shape import Headers, OneShape, Shape, ready_head
from .validators import FileHeaders, Header

LARGEST = 64 * 1024  # of a file whose bytes are kept
_BYTES = 16 * 1024 * 1024
_ENTRIES = 4096
# A file that has just been written may be written again without a change of its times, which the kernel
# counts in ticks (and some network file systems in seconds).
_SETTLED = 2.0

Identity = tuple[int, int, int, int, int]


class Variant:
    """One file: as it is, or one of its compressed siblings.

    `body` and `head` once it has been read and may be kept; `head` is for answers that no route shapes.
    """

    __slots__ = ("_heads", "body", "file", "head", "identity", "name")

    def __init__(self, name: bytes, file: FileHeaders, identity: Identity) -> None:
        self.name = name
        self.file = file
        self.identity = identity
        self.body: bytes | None = None
        self.head = b""
        self._heads: dict[tuple[Shape | None, int], bytes | None] = {}

    def head_in(self, shape: Shape | None, status: int) -> bytes | None:
        """For 200 or 304 in a shape of its route, of which there are two at most; None: it cannot be kept."""
        if isinstance(shape, OneShape):
            return None
        key = shape, status
        if key not in self._heads:
            fields: Headers = self.file.full if status == 200 else self.file.unchanged
            if shape is not None:
                fields = shape(fields)
            is_dated = any(name == b"date" for name, _ in fields)
            self._heads[key] = None if is_dated else ready_head(fields, self.file.size, status)
        return self._heads[key]

    @property
    def state(self) -> tuple[Identity, list[Header]]:
        return self.identity, self.file.full


class Entry:
    """A name and what may be sent for it. `coded`: variants by coding, empty for most files."""

    __slots__ = ("coded", "fresh_until", "plain")

    def __init__(self, plain: Variant, coded: dict[bytes, Variant]) -> None:
        self.plain = plain
        self.coded = coded
        self.fresh_until = 0.0

    def __repr__(self) -> str:
        codings = b" ".join(self.coded).decode()
        return f"<Entry {self.plain.file!r} {codings} {'kept' if self.plain.body is not None else ''}>"

    def best(self, accept_encoding: bytes) -> Variant:
        for coding in acceptable(accept_encoding):
            if coding.name in self.coded:
                return self.coded[coding.name]
        return self.plain

    def is_same(self, other: Entry) -> bool:
        """Of the same files, and sent with the same headers: a manifest may say otherwise by now."""
        if self.coded.keys() != other.coded.keys():
            return False
        pairs = [(self.plain, other.plain), *((self.coded[key], other.coded[key]) for key in self.coded)]
        return all(one.identity == two.identity and one.file.full == two.file.full for one, two in pairs)

    @property
    def size(self) -> int:
        variants = (self.plain, *self.coded.values())
        return sum(len(variant.body) for variant in variants if variant.body is not None)


class Shelf:
    """Shared by the routes of a site; a key names the route too."""

    __slots__ = ("_bytes", "_clock", "_entries", "_most_bytes", "_most_entries", "open_files")

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, most_bytes: int = _BYTES, entries: int = _ENTRIES
    ) -> None:
        self._clock = clock
        self._most_bytes, self._most_entries = most_bytes, entries
        self._entries: OrderedDict[tuple[int, bytes], Entry] = OrderedDict()
        self._bytes = 0
        self.open_files = OpenFiles()  # larger ones, by their variant

    def __repr__(self) -> str:
        return f"<Shelf {len(self._entries)} entries, {self._bytes} bytes>"

    def fresh(self, key: tuple[int, bytes]) -> Entry | None:
        """What was looked at within the last second."""
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry.fresh_until:
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: tuple[int, bytes], entry: Entry, fresh_until: float) -> Entry:
        """As it was found just now; the one that is there goes on if it is of the same files."""
        known = self._entries.get(key)
        if known is not None and known.is_same(entry):
            entry = known
        else:
            self.drop(key)
            self._entries[key] = entry
        entry.fresh_until = fresh_until
        self._entries.move_to_end(key)
        self._make_room()
        return entry

    def keep(self, key: tuple[int, bytes], variant: Variant, body: bytes, info: os.stat_result) -> None:
        """The bytes of a variant of the entry at `key`, as `info` said before and after they were read."""
        entry = self._entries.get(key)
        is_of_it = entry is not None and (variant is entry.plain or variant in entry.coded.values())
        if not is_of_it or variant.body is not None or len(body) > LARGEST or not is_settled(info):
            return
        variant.body = body
        variant.head = ready_head(variant.file.full, len(body))
        self._bytes += len(body)
        self._make_room()

    def drop(self, key: tuple[int, bytes]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= entry.size

    def _make_room(self) -> None:
        while self._bytes > self._most_bytes or len(self._entries) > self._most_entries:
            self.drop(next(iter(self._entries)))


def identity_of(info: os.stat_result) -> Identity:
    """What changes with every change of a file, and with its replacement."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def is_settled(info: os.stat_result) -> bool:
    return time.time() - max(info.st_ctime_ns, info.st_mtime_ns) / 1e9 > _SETTLED
