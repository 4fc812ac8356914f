"""The patterns cost one pass, whatever they are shown, and say what the RFCs say."""

import time
from collections.abc import Callable

import pytest

from trivet_common.http1 import grammar

LONG = 1_000_000

HOSTILE: dict[str, Callable[[], object]] = {
    "common line, no end": lambda: grammar.match_common_request_line(b"GET /" + b"a/" * LONG),
    "common line, late fault": lambda: grammar.match_common_request_line(
        b"GET /" + b"a" * LONG + b'" HTTP/1.1\r\n'
    ),
    "common line, query": lambda: grammar.match_common_request_line(
        b"GET /?" + b"?/" * LONG + b'" HTTP/1.1\r\n'
    ),
    "request line": lambda: grammar.match_request_line(b"a" * LONG + b" " + b"b" * LONG),
    "simple request": lambda: grammar.match_simple_request(b"G" * LONG + b" /"),
    "version": lambda: grammar.is_http_version(b"HTTP/" + b"1" * LONG + b"."),
    "token": lambda: grammar.is_token(b"a" * LONG + b" "),
    "plain name": lambda: grammar.is_plain_name(b"a-" * LONG + b"_"),
    "path": lambda: grammar.is_path(b"/" * LONG + b"#"),
    "bad escape": lambda: grammar.find_bad_escape(b"%20" * LONG),
    "slashes": lambda: grammar.sub_slashes(b"/", b"/a//" * LONG),
    "dot segments": lambda: grammar.find_dot_segment(b"/.a/..b" * LONG),
    "absolute form": lambda: grammar.match_absolute_form(b"http://" + b"a" * LONG + b"#"),
    "status line": lambda: grammar.match_status_line(b"HTTP/1.1 200 " + b" " * LONG),
    "extension names": lambda: grammar.is_chunk_extension(b";a" * LONG + b";"),
    "extension values": lambda: grammar.is_chunk_extension(b";a=b" * LONG + b"="),
    "extension quotes": lambda: grammar.is_chunk_extension(b';a="' + b'\\"' * LONG),
    "bare line ends": lambda: grammar.find_bare_line_end(b"\r\n" * LONG),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_costs_one_pass(name: str) -> None:
    started = time.process_time()
    HOSTILE[name]()
    assert time.process_time() - started < 2  # one pass takes some 10 ms; a second look at each byte, hours


def test_methods_that_are_served_and_refused_are_apart() -> None:
    assert not grammar.METHODS & grammar.REFUSED_METHODS
    assert set(grammar.ALLOWED_METHODS.split(b", ")) <= grammar.METHODS
    assert all(grammar.is_token(method) for method in grammar.METHODS | grammar.REFUSED_METHODS)


def test_byte_classes() -> None:
    tokens = {byte for byte in range(256) if grammar.is_token(bytes([byte]))}
    assert tokens == set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    plain = {byte for byte in range(256) if grammar.is_plain_name(b"a" + bytes([byte]))}
    assert plain == set(b"-0123456789abcdefghijklmnopqrstuvwxyz")
    in_path = {byte for byte in range(256) if grammar.is_path(b"/" + bytes([byte]))}
    in_query = {byte for byte in range(256) if grammar.is_query(bytes([byte]))}
    assert set(range(0x21, 0x7F)) - in_path == set(b'"#<>?\\^`{}')
    assert set(range(0x21, 0x7F)) - in_query == set(b'"#<>')
    assert in_path | in_query <= set(range(0x21, 0x7F))


@pytest.mark.parametrize(
    ("extension", "is_good"),
    [
        (b";a", True),
        (b";a=b;c", True),
        (b';a="b c"', True),
        (b';a="\\"";d="\t\xff"', True),
        (b';a=""', True),
        (b";", False),
        (b"a", False),
        (b"; a", False),
        (b";a =b", False),
        (b";a=", False),
        (b';a="b', False),
        (b';a="b\x01"', False),
        (b';a="\\\x01"', False),
        (b";a=b c", False),
    ],
)
def test_chunk_extensions(extension: bytes, is_good: bool) -> None:
    assert bool(grammar.is_chunk_extension(extension)) is is_good


def test_skip_hex() -> None:
    assert grammar.skip_hex(b"x1fFg", 1) == 4
    assert grammar.skip_hex(b"xyz", 1) == 1
    assert grammar.skip_hex(b"12", 2) == 2
