"""Which coding a client takes, and which of them it likes best (RFC 9110, 12.5.3)."""

from __future__ import annotations

import pytest

from trivet_proxy.codings import acceptable

ROWS = [
    (b"", ""),
    (b"gzip", "gzip"),
    (b"gzip, deflate, br, zstd", "br zstd gzip"),  # Chrome's
    (b"gzip, deflate, br", "br gzip"),
    (b"GZIP", "gzip"),
    (b"x-gzip", "gzip"),
    (b"*", "br zstd gzip"),
    (b"*;q=0", ""),
    (b"gzip;q=0", ""),
    (b"gzip;q=0.000", ""),
    (b"gzip;q=0, *", "br zstd"),
    (b"br;q=0.1, gzip;q=0.9", "gzip br"),
    (b"gzip;q=1.0,br;q=1.0", "br gzip"),
    (b"gzip ; q=0.5 , br\t;\tq=0.6", "br gzip"),
    (b"gzip;Q=0.5", "gzip"),
    (b"identity", ""),
    (b"identity, gzip;q=0.5", ""),
    (b"identity;q=0.5, gzip", "gzip"),
    (b"identity;q=0, gzip;q=0.1", "gzip"),
    (b"deflate", ""),
    # What is no weight is no element.
    (b"gzip;q=2, br", "br"),
    (b"gzip;q=0.1234", ""),
    (b"gzip;q=-1", ""),
    (b"gzip;level=9", ""),
    (b"gzip;q=", ""),
    (b",,gzip,,", "gzip"),
    (b"br, " * 1000 + b"gzip", "br"),
]


@pytest.mark.parametrize(("field", "names"), ROWS)
def test_acceptable(field, names):
    assert [coding.name.decode() for coding in acceptable(field)] == names.split()
