"""URIs in a Location field: percent-encoding, and paths that cannot be taken for another host.

Knows bytes only. Refused here: `//evil` and `/\\evil`, which browsers read as a host (CVE-2021-28861,
CVE-2018-14574), and CR or LF in any form.
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

# RFC 3986, 3.3: pchar and the slash, without % (which is data in a decoded path) and without the backslash.
_PATH_SAFE = "/-._~!$&'()*+,;=:@"
# Everything that may stand in a URI at all (RFC 3986, 2), % included: for text that is encoded already.
_NOT_IN_A_URI = re.compile(rb"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")


def encode_path(path: bytes) -> bytes:
    """A decoded path as it stands in a URI."""
    return quote_from_bytes(path, _PATH_SAFE).encode("ascii")


def encode_rest(text: bytes) -> bytes:
    """Encode only what a URI has no place for; what is encoded already stays."""
    return _NOT_IN_A_URI.sub(lambda match: b"%%%02X" % match[0][0], text)


def local_location(path: bytes, query: bytes) -> bytes:
    """A Location on the same host: a decoded path behind exactly one slash, and the query as it came."""
    location = one_slash(encode_path(path))
    return location + b"?" + encode_rest(query) if query else location


def one_slash(location: bytes) -> bytes:
    """The text with exactly one slash in front, whatever stood there."""
    return b"/" + location.lstrip(b"/\\")
