"""The target and the authority: one form each, whatever they came as."""

import pytest

from tests.common.gate_driver import parse
from trivet_common.http1.target import is_same_host, parse_authority


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        (b"/", b"/", b"/", b""),
        (b"/a/b/", b"/a/b/", b"/a/b/", b""),
        (b"/?", b"/", b"/", b""),
        (b"/a?b=c?d/e", b"/a", b"/a", b"b=c?d/e"),
        (b"/?a=%zz&b=100%", b"/", b"/", b"a=%zz&b=100%"),
        (b"/%61%2Fb%20c", b"/%61%2Fb%20c", b"/a/b c", b""),
        (b"//a///b//", b"//a///b//", b"/a/b/", b""),
        (b"/a%2f%2Fb", b"/a%2f%2Fb", b"/a/b", b""),
        (b"/%252e%252e/", b"/%252e%252e/", b"/%2e%2e/", b""),
        (b"/%c0%af", b"/%c0%af", b"/\xc0\xaf", b""),
        (b"/..a/b../...", b"/..a/b../...", b"/..a/b../...", b""),
        (b"/a%5cb", b"/a%5cb", b"/a\\b", b""),
        (b"/a|b?{c}^`\\", b"/a%7Cb", b"/a|b", b"%7Bc%7D%5E%60%5C"),
        (b"/[a]?[b]", b"/[a]", b"/[a]", b"[b]"),
        (b"http://a.example", b"/", b"/", b""),
        (b"http://a.example/%41?b", b"/%41", b"/A", b"b"),
        (b"HTTPS://A.example:443?b", b"/", b"/", b"b"),
    ],
)
def test_target_is_taken_apart(target: bytes, raw_path: bytes, path: bytes, query: bytes) -> None:
    head = parse(line=b"GET " + target + b" HTTP/1.1")
    assert (head.raw_path, head.path, head.query) == (raw_path, path, query)
    assert head.target.partition(b"?")[::2] == (raw_path, query)


def test_star_is_for_options() -> None:
    head = parse(line=b"OPTIONS * HTTP/1.1")
    assert (head.target, head.path) == (b"*", b"*")
    assert parse(line=b"OPTIONS http://a.example HTTP/1.1").path == b"*"


@pytest.mark.parametrize(
    ("value", "host", "authority"),
    [
        (b"a.example", "a.example", b"a.example"),
        (b"A.Example:8000", "a.example", b"a.example:8000"),
        (b"a.example.", "a.example", b"a.example"),
        (b"a.example.:80", "a.example", b"a.example:80"),
        (b"127.0.0.1:1", "127.0.0.1", b"127.0.0.1:1"),
        (b"[::1]", "[::1]", b"[::1]"),
        (b"[2001:DB8::1]:65535", "[2001:db8::1]", b"[2001:db8::1]:65535"),
        (b"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", b"[::ffff:192.0.2.1]"),
        (b"my_app", "my_app", b"my_app"),
    ],
)
def test_host_has_one_form(value: bytes, host: str, authority: bytes) -> None:
    head = parse(host=value)
    assert (head.host, head.authority, head.get(b"host")) == (host, authority, authority)


def test_host_of_http10_may_be_missing() -> None:
    head = parse(line=b"GET / HTTP/1.0", host=None)
    assert (head.host, head.authority, head.get(b"host")) == ("", b"", None)
    head = parse(line=b"GET http://A/b HTTP/1.0", host=None)
    assert (head.host, head.get(b"host")) == ("a", b"a")


def test_names_of_many_hosts_are_not_kept() -> None:
    for number in range(2000):
        assert parse(host=b"h%d.example" % number).host == f"h{number}.example"


def test_an_authority_is_a_name_or_an_address() -> None:
    authority = parse_authority(b"A.example:80")
    assert authority is not None
    assert authority == ("a.example", 80, b"a.example:80")
    for bad in (b"", b"a b", b"a:", b"a:65536", b"[::1", b"[:::1]", b"a" * 300, b"a.example\n"):
        assert parse_authority(bad) is None


def test_default_ports_are_the_schemes() -> None:
    plain, eighty, other = (parse_authority(text) for text in (b"a", b"a:80", b"b"))
    assert plain is not None
    assert eighty is not None
    assert other is not None
    assert is_same_host(b"http", plain, eighty)
    assert not is_same_host(b"https", plain, eighty)
    assert not is_same_host(b"http", plain, other)
