"""PROXY headers of both versions, in pieces, with what follows, and everything that is none."""

import random
import struct

import pytest

from trivet_proxy.introduction import Introduction, IntroductionError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


V4 = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack("!HH", 5000, 80)
V6 = bytes.fromhex("20010db8000000000000000000000007") * 2 + struct.pack("!HH", 5001, 80)
GOOD = [
    (b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n", ("192.0.2.7", 5000)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 5001 443\r\n", ("2001:db8::7", 5001)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN what ever 1 2\r\n", None),
    (binary(0x21, 0x11, V4), ("192.0.2.7", 5000)),
    (binary(0x21, 0x21, V6), ("2001:db8::7", 5001)),
    (binary(0x21, 0x11, V4 + b"\x04\x00\x03abc"), ("192.0.2.7", 5000)),  # a TLV is read over
    (binary(0x20, 0x00, b""), None),  # LOCAL: a health check
    (binary(0x20, 0x11, V4), None),
    (binary(0x21, 0x31, b"\0" * 216), None),  # Unix sockets have no address
    (binary(0x21, 0x00, b""), None),
]


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_a_header_and_nothing_of_what_follows(header: bytes, client: object) -> None:
    found = Introduction()
    assert found.take(header + REQUEST) == len(header)
    assert (found.is_whole, found.client) == (True, client)


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_in_pieces(header: bytes, client: object) -> None:
    for size in (1, 2, 5, 13):
        found, left = Introduction(), header + REQUEST
        while not found.is_whole:
            taken = found.take(left[:size])
            assert taken > 0
            left = left[taken:]
        assert (left, found.client) == (REQUEST, client)


@pytest.mark.parametrize(
    "data",
    [
        REQUEST,
        b"\x16\x03\x01\x02\x00\x01",  # a TLS hello
        b"PROXY\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\n\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 5000\r\n",
        b"PROXY TCP4 192.0.2.777 10.0.0.1 5000 80\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 5000 80\r\n",
        b"PROXY TCP6 192.0.2.7 10.0.0.1 5000 80\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 80\r\n",
        b"PROXY TCP4  192.0.2.7 10.0.0.1 5000 80\r\n",
        b"PROXY UDP4 192.0.2.7 10.0.0.1 5000 80\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY TCP4 " + b"1" * 200,
        SIGNATURE[:11] + b"X",
        binary(0x31, 0x11, V4),  # version 3
        binary(0x2F, 0x11, V4),
        binary(0x21, 0x11, V4[:11]),
        binary(0x21, 0x21, V4),
        binary(0x21, 0x11, b"\0" * 2049),
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(IntroductionError):
        Introduction().take(data)


def test_whatever_comes_it_is_bounded() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        header, _ = chance.choice(GOOD)
        spoilt = bytearray(header + REQUEST)
        for _ in range(chance.randrange(1, 4)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        found = Introduction()
        taken = 0
        try:
            while not found.is_whole and taken < len(spoilt):
                count = found.take(bytes(spoilt[taken : taken + 7]))
                assert 0 < count <= 7
                taken += count
        except IntroductionError:
            pass
        assert taken <= 2048 + 16


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP6 ::ffff:192.0.2.7 ::1 5000 80\r\n",
        b"PROXY TCP6 0:0:0:0:0:ffff:c000:207 ::1 5000 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24"
        + bytes(10) + b"\xff\xff\xc0\0\x02\x07" + bytes(16) + b"\x13\x88\0\x50",
    ],
)  # fmt: skip
def test_a_mapped_address_is_the_ipv4_one(header: bytes) -> None:
    introduction = Introduction()
    introduction.take(header)
    assert introduction.client == ("192.0.2.7", 5000)
