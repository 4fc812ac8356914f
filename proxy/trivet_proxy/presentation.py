"""What a route says about a file by its name alone: content type, caching, and safety among uploads.

Composed at load; knows no file, no size and no request.
"""

from __future__ import annotations

from collections.abc import Collection

from trivet_common.config.settings import FilesAction

from .content_types import TYPES, content_type_of
from .hashed_names import is_hashed
from .validators import Header

# RFC 8246; a year is the most that caches were ever told to keep something (RFC 2616, 14.21).
_FOR_EVER: Header = (b"cache-control", b"public, max-age=31536000, immutable")
_ASK_FIRST: Header = (b"cache-control", b"no-cache")
# Behind an application's decision, or a route's gates, no shared cache may decide: it asks nobody who he is,
# and `public` allows it even what was sent for an Authorization (RFC 9111, 3.5).
_FOR_ONE: Header = (b"cache-control", b"private, no-cache")
_FOR_ONE_FOR_EVER: Header = (b"cache-control", b"private, max-age=31536000, immutable")
NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
ATTACHMENT: Header = (b"content-disposition", b"attachment")

# What runs scripts in the site's own name when a browser opens it.
_ACTIVE = ("text/html", "text/xsl")


class Presentation:
    """Of one route."""

    __slots__ = ("_cache", "_is_auto", "_is_internal", "_is_private", "_types", "_uploads")

    def __init__(self, files: FilesAction, is_internal: bool = False, is_private: bool = False) -> None:
        """`is_private`: not for everybody, by the route's gates."""
        self._types = TYPES | {
            ending.encode(): content_type.encode("latin-1") for ending, content_type in files.types
        }
        self._is_auto = files.cache == "auto"
        self._cache: list[Header] = []
        if files.cache is not None and not self._is_auto:
            self._cache = [(b"cache-control", files.cache.encode("latin-1"))]
        self._uploads = files.uploads
        self._is_internal = is_internal
        self._is_private = is_private

    def content_type(self, name: bytes) -> bytes:
        return content_type_of(name, self._types)

    def headers(self, name: bytes, listed: Collection[bytes] = ()) -> list[Header]:
        """All but the type. `listed`: names that a manifest calls hashed."""
        headers = [self._freshness(name, listed)] if self._is_auto else list(self._cache)
        if self._uploads:
            headers.append(NOSNIFF)
            if is_active(self.content_type(name)):
                headers.append(ATTACHMENT)
        return headers

    def _freshness(self, name: bytes, listed: Collection[bytes]) -> Header:
        if self._is_internal:
            return _FOR_ONE
        # People name uploads, and may name two of them alike.
        if not self._uploads and (name in listed or is_hashed(name)):
            return _FOR_ONE_FOR_EVER if self._is_private else _FOR_EVER
        return _FOR_ONE if self._is_private else _ASK_FIRST


def is_active(content_type: bytes) -> bool:
    """Whether a browser that opens it runs what is written in it."""
    bare = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    return bare.endswith("xml") or bare in _ACTIVE
