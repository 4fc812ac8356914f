"""Locations: always on this host, always one line, nothing in them that is not a URI's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet_proxy.locations import encode_path, encode_rest, local_location, one_slash


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        (b"/x/", b"", b"/x/"),
        (b"/x/", b"a=b", b"/x/?a=b"),
        (b"//evil.example/", b"", b"/evil.example/"),
        (b"/\\evil.example/", b"", b"/%5Cevil.example/"),
        (b"\\\\evil", b"", b"/%5C%5Cevil"),
        (b"/a?b#c%d e\r\n", b"", b"/a%3Fb%23c%25d%20e%0D%0A"),
        (b"/caf\xc3\xa9", b"x=\r\n", b"/caf%C3%A9?x=%0D%0A"),
        (b"", b"", b"/"),
    ],
)
def test_local_locations(path, query, location):
    assert local_location(path, query) == location


def test_one_slash():
    assert [one_slash(text) for text in (b"", b"x", b"//x", b"/\\/x", b"/x//y")] == [
        b"/",
        b"/x",
        b"/x",
        b"/x",
        b"/x//y",
    ]


@given(path=st.binary(max_size=40), query=st.binary(max_size=40))
def test_a_local_location_stays_local_and_on_one_line(path, query):
    location = local_location(path, query)
    assert location.startswith(b"/")
    assert location[1:2] not in (b"/", b"\\")
    assert location.isascii()
    assert not set(location) & set(b'\r\n\t\0 "<>\\^`{|}')


@given(text=st.binary(max_size=60))
def test_what_a_uri_has_no_place_for_is_encoded(text):
    for encoded in (encode_path(text), encode_rest(text)):
        assert not set(encoded) & set(b'\r\n\0 "<>\\')
