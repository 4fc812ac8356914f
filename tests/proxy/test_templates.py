"""Templates: known names are filled in, other braces are themselves, and every value is fit for a URI."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet_proxy.templates import NAMES, HeaderTemplate, Template


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
    groups: tuple[bytes | None, ...] = ()


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


def test_groups_and_what_is_one_value_of_a_query():
    request = FakeRequest(groups=(b"a&b=c+d%/\xc3\xa9", None))
    assert Template("/{1}/{2}/{3}").fill(request) == b"/a&b=c+d%25/%C3%A9//"
    assert Template("/x?y={1}&z={2}").fill(request) == b"/x?y=a%26b%3Dc%2Bd%25/%C3%A9&z="
    assert Template("/x?y={uri}").fill(request) == b"/x?y=/a%2520b%3Fc%3Dd"
    assert Template("/x?y={path}").fill(request) == b"/x?y=/a%20b"
    assert Template("/x?{query}&y={query}").fill(request) == b"/x?c=d&y=c=d"
    assert Template("{uri}&y={path}").fill(request) == b"/a%20b?c=d&y=/a%20b"
    assert Template("{scheme}://{host}/?u={scheme}://{host}").fill(request) == (
        b"https://shop.example/?u=https://shop.example"
    )


@pytest.mark.parametrize(
    ("text", "group", "filled"),
    [
        # nginx's `rewrite ^/old(.*)$ https://example.com$1`
        ("https://example.com{1}", b"/x", b"https://example.com/x"),
        ("https://example.com{1}", b"", b"https://example.com"),
        ("https://example.com{1}", b".evil.com/", b"https://example.com/.evil.com/"),
        ("https://example.com{1}", b"@evil.com/", b"https://example.com/@evil.com/"),
        ("https://example.com{1}{2}", b"", b"https://example.com/b@c"),
        ("https://example.com{1}?{query}", b":80@evil.com", b"https://example.com/:80@evil.com?c=d"),
        ("https://example.com{query}", b"", b"https://example.com/c=d"),
        ("{scheme}://{host}{1}", b"@evil.com", b"https://shop.example/@evil.com"),
        ("https://{1}.example.com/", b"evil.com/", b"https://evil.com%2F.example.com/"),
        ("https://{1}.example.com/", b"a.b", b"https://a.b.example.com/"),
        ("https://shop{1}.example.com{2}", b"5", b"https://shop5.example.com/b@c"),
        ("https://shop-{1}/", b"evil.com/", b"https://shop-evil.com%2F/"),
        ("https://example.com:{1}/", b"80@evil.com", b"https://example.com:80%40evil.com/"),
        ("https://example.com{uri}{1}", b"@b", b"https://example.com/a%20b?c=d@b"),
        # Who writes this has an expression that says which hosts there are.
        ("https://{1}", b"example.org/x", b"https://example.org/x"),
    ],
)
def test_no_group_leads_to_another_host(text: str, group: bytes, filled: bytes) -> None:
    assert Template(text).fill(FakeRequest(groups=(group, b"b@c"))) == filled


def test_a_uri_names_no_host():
    """Whoever is sent to log in goes on to {uri} afterwards."""
    request = FakeRequest(FakeHead(raw_path=b"//evil.example/*/", query=b""))
    assert Template("/login?next={uri}").fill(request) == b"/login?next=/evil.example/*/"
    assert HeaderTemplate("{uri}").fill(request) == b"/evil.example/*/"
    assert Template("{uri}").fill(FakeRequest(FakeHead(raw_path=b"/*//x", query=b""))) == b"/*//x"


def test_a_header_keeps_its_own_text():
    request = FakeRequest(groups=(b'a "b"\r\n',))
    template = HeaderTemplate('{"a": "{1}", "b": "{nothing}"}; <{uri}>')
    assert template.fill(request) == b'{"a": "a%20%22b%22%0D%0A", "b": "{nothing}"}; </a%20b?c=d>'
    assert repr(template).startswith("<HeaderTemplate ")


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
