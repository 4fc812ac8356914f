"""Templates: known names are filled in, other braces are themselves, and every value is fit for a URI."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from trivet_proxy.templates import NAMES, Template


@dataclass
class FakeClient:
    address: str = "192.0.2.7"
    scheme: str = "https"
    port: int = 443


@dataclass
class FakeHead:
    host: str = "shop.example"
    path: bytes = b"/a b"
    raw_path: bytes = b"/a%20b"
    query: bytes = b"c=d"


@dataclass
class FakeRequest:
    head: FakeHead = field(default_factory=FakeHead)
    client: FakeClient = field(default_factory=FakeClient)
    request_id: str = "abc123"


def test_every_name():
    filled = {name: Template("{" + name + "}").fill(FakeRequest()) for name in NAMES}
    assert filled == {
        "scheme": b"https",
        "host": b"shop.example",
        "port": b"443",
        "path": b"/a%20b",
        "query": b"c=d",
        "uri": b"/a%20b?c=d",
        "client": b"192.0.2.7",
        "request_id": b"abc123",
    }


def test_other_braces_are_themselves():
    template = Template("a{scheme}b{nothing}{{host}}")
    assert template.names == {"scheme", "host"}
    assert template.fill(FakeRequest()) == b"ahttpsb%7Bnothing%7D%7Bshop.example%7D"
    assert repr(template) == "<Template 'a{scheme}b{nothing}{{host}}'>"


def test_a_request_for_everything():
    assert Template("{uri}").fill(FakeRequest(FakeHead(path=b"*", raw_path=b"*", query=b""))) == b"/"


@given(
    path=st.binary(max_size=30),
    raw=st.binary(max_size=30),
    query=st.binary(max_size=30),
    name=st.text(max_size=9),
)
def test_no_value_breaks_out(path, raw, query, name):
    request = FakeRequest(FakeHead(name, path, raw, query), FakeClient(name, name), name)
    filled = Template("".join("{" + name + "}" for name in NAMES)).fill(request)
    assert filled.isascii()
    assert not set(filled) & set(b'\r\n\0\t "<>\\^`{|}')
