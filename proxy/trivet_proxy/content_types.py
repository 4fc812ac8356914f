"""The content type of a file by the end of its name: our own table, the same on every host.

Text carries charset=utf-8, because a browser otherwise guesses. What is unknown is bytes, never a guess at
HTML.
"""

from __future__ import annotations

from collections.abc import Mapping

_UTF8 = "; charset=utf-8"

# Media types of the IANA registry, and a few that everybody uses without one.
_TEXTS = {
    "text/html": "html htm",
    "text/css": "css",
    "text/javascript": "js mjs",  # RFC 9239
    "text/plain": "txt text log conf ini cfg sh sql rst",
    "text/markdown": "md markdown",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/calendar": "ics",
    "text/vcard": "vcf vcard",
    "text/vtt": "vtt",
    "text/xml": "xml xsl xslt",
    "text/x-python": "py",
    "text/yaml": "yaml yml",
    "image/svg+xml": "svg",
    "application/rss+xml": "rss",
    "application/atom+xml": "atom",
    "application/xhtml+xml": "xhtml",
    "application/toml": "toml",
}
_BYTES = {
    # JSON is UTF-8 by definition and has no charset parameter (RFC 8259, 8.1 and 11).
    "application/json": "json map har",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/manifest+json": "webmanifest",
    "image/png": "png",
    "image/apng": "apng",
    "image/jpeg": "jpg jpeg jpe jfif",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/jxl": "jxl",
    "image/heic": "heic",
    "image/bmp": "bmp",
    "image/tiff": "tif tiff",
    "image/x-icon": "ico cur",
    "font/woff2": "woff2",
    "font/woff": "woff",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/collection": "ttc",
    "application/vnd.ms-fontobject": "eot",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/ogg": "ogg oga opus",
    "audio/flac": "flac",
    "audio/wav": "wav",
    "audio/midi": "mid midi",
    "audio/webm": "weba",
    "video/mp4": "mp4 m4v",
    "video/webm": "webm",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpeg mpg",
    "video/mp2t": "ts",
    "application/vnd.apple.mpegurl": "m3u8",
    "application/dash+xml": "mpd",
    "application/wasm": "wasm",
    "application/pdf": "pdf",
    "application/epub+zip": "epub",
    "application/rtf": "rtf",
    "application/zip": "zip",
    "application/gzip": "gz tgz",
    "application/zstd": "zst",
    "application/x-bzip2": "bz2",
    "application/x-xz": "xz",
    "application/x-tar": "tar",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "application/java-archive": "jar",
    "application/vnd.debian.binary-package": "deb",
    "application/x-rpm": "rpm",
    "application/vnd.android.package-archive": "apk",
    "application/vnd.sqlite3": "sqlite3",
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/pkix-cert": "cer crt",
    "application/pgp-keys": "asc",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
}
# Files that other programs ask for by a name without an end.
_NAMES = {
    b"apple-app-site-association": b"application/json",
    b"apple-developer-merchantid-domain-association": b"text/plain; charset=utf-8",
}

# What is not text by its name and shrinks like one.
_ALSO = frozenset(
    b"application/json application/wasm "
    b"application/toml application/vnd.ms-fontobject font/ttf font/otf image/bmp image/x-icon "
    b"application/vnd.apple.mpegurl application/rtf "
    b"application/javascript application/x-javascript application/x-ndjson".split()
)

UNKNOWN = b"application/octet-stream"

TYPES: dict[bytes, bytes] = {
    ending.encode(): (media_type + charset).encode()
    for table, charset in ((_TEXTS, _UTF8), (_BYTES, ""))
    for media_type, endings in table.items()
    for ending in endings.split()
}


def is_text(content_type: bytes) -> bool:
    """Whether what is of this type shrinks when it is compressed."""
    bare = content_type.partition(b";")[0].strip().lower()
    return bare.startswith(b"text/") or bare.endswith((b"xml", b"+json")) or bare in _ALSO


def content_type_of(name: bytes, types: Mapping[bytes, bytes] = TYPES) -> bytes:
    """The content type for a file's name or path; endings in any case, `a.tar.gz` by its last one."""
    dot = name.rfind(b".")
    slash = name.rfind(b"/")
    if dot > slash + 1:
        return types.get(name[dot + 1 :].lower(), UNKNOWN)
    return _NAMES.get(name[slash + 1 :], UNKNOWN)
