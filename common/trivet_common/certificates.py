"""What a certificate says: whose names, until when, by whom. Enough of X.509 to choose by and to explain.

A small reader of DER (X.690) in the place of a library of some MiB in every process: the files are the
operator's own, and whether a certificate is good is for OpenSSL to say. Knows no key and no connection.
"""

import base64
import binascii
import calendar
import ipaddress
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

_PEM = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END (?:X509 |TRUSTED )?CERTIFICATE-----", re.S
)
_KINDS = {"1.2.840.113549.1.1.1": "RSA", "1.2.840.10045.2.1": "ECDSA", "1.3.101.112": "Ed25519"}
_ALT_NAMES, _ISSUER_ACCESS, _ISSUERS = "2.5.29.17", "1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.48.2"
# RFC 4514, section 3, and those that are in use beyond it.
_SHORT = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_SEQUENCE, _OID, _BMP, _UTC_TIME = 0x30, 0x06, 0x1E, 0x17
# A UUID (X.667). Without a bound, each byte of an endless number costs as much as all before it.
_LARGEST_ARC = (1 << 128) - 1
_VERSION, _EXTENSIONS, _DNS, _IP = 0xA0, 0xA3, 0x82, 0x87  # by their places (RFC 5280)


class CertificateError(Exception):
    """What was given is no certificate; the text is a sentence's end ("holds no certificate")."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Times in seconds since the epoch; names as RFC 4514 writes them."""

    subject: str
    issuer: str
    names: tuple[str, ...]  # DNS names in lower case, and addresses
    not_before: float
    not_after: float
    kind: str  # RSA, ECDSA, Ed25519, or the OID of what it is
    serial: str  # hexadecimal
    has_known_issuer: bool  # it says where its issuer's certificate is to be had: that one is no root

    @property
    def is_self_issued(self) -> bool:
        return self.subject == self.issuer

    def days_left(self, now: float | None = None) -> int:
        """Whole days, rounded down; negative once it has expired."""
        return int((self.not_after - (time.time() if now is None else now)) // 86400)


def read_chain(pem: bytes) -> tuple[Certificate, ...]:
    """All certificates of a file, in order. Raises CertificateError."""
    found = _PEM.findall(pem)
    if not found:
        raise CertificateError("holds no certificate (-----BEGIN CERTIFICATE-----)")
    try:
        ders = [base64.b64decode(b"".join(text.split()), validate=True) for text in found]
    except binascii.Error:
        raise CertificateError("holds a certificate that is not base64") from None
    return tuple(map(read_certificate, ders))


def read_certificate(der: bytes) -> Certificate:
    """Raises CertificateError."""
    try:
        return _read(der)
    except (ValueError, IndexError, StopIteration, RuntimeError):  # PEP 479: an end inside a generator
        raise CertificateError("holds a certificate that cannot be read") from None


def _read(der: bytes) -> Certificate:
    outer = _one(der, _SEQUENCE)
    fields = list(_elements(next(_elements(outer))[1]))
    if fields[0][0] == _VERSION:
        fields.pop(0)
    serial, _, issuer, validity, subject, key, *rest = fields
    begins, ends = (_time(tag, text) for tag, text in _elements(validity[1]))
    extensions = dict(_extensions(rest))
    return Certificate(
        _name(subject[1]),
        _name(issuer[1]),
        tuple(_alt_names(extensions.get(_ALT_NAMES, b""))),
        begins,
        ends,
        _kind(key[1]),
        serial[1].hex().lstrip("0") or "0",
        _ISSUERS in _access_methods(extensions.get(_ISSUER_ACCESS, b"")),
    )


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if not tag & 0x1F < 0x1F or at + length > len(data):
            raise ValueError
        yield tag, data[at : at + length]
        at += length


def _one(data: bytes, tag: int) -> bytes:
    found, content = next(_elements(data))
    if found != tag:
        raise ValueError
    return content


def _oid(content: bytes) -> str:
    first, *rest = content
    numbers, number = [min(first // 40, 2)], 0
    numbers.append(first - 40 * numbers[0])
    for byte in rest:
        number = number << 7 | byte & 0x7F
        if number > _LARGEST_ARC:
            raise ValueError
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    return ".".join(map(str, numbers))


def _time(tag: int, content: bytes) -> float:
    """RFC 5280, 4.1.2.5: in UTC, years of two digits from 1950 on."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def _name(content: bytes) -> str:
    parts = []
    for _, relative in _elements(content):
        pairs = [list(_elements(pair)) for _, pair in _elements(relative)]
        parts.append("+".join(f"{_attribute(oid[1])}={_text(*value)}" for oid, value in pairs))
    return ",".join(reversed(parts))


def _attribute(content: bytes) -> str:
    oid = _oid(content)
    return _SHORT.get(oid, oid)


def _text(tag: int, content: bytes) -> str:
    """Printable ASCII and nothing else: it goes into headers and onto terminals.

    Two that differ stay two: what is no UTF-8 (a TeletexString) as the bytes it is.
    """
    text = content.decode("utf-16-be") if tag == _BMP else content.decode("utf-8", "surrogateescape")
    escaped = "".join(_escaped(character) for character in text)
    if escaped.endswith(" "):
        escaped = escaped[:-1] + "\\20"  # who reads a header strips what stands at its end
    return f"\\{escaped}" if escaped[:1] in ("#", " ") else escaped


def _escaped(character: str) -> str:
    if character in ',+"\\<>;=':
        return f"\\{character}"
    if " " <= character <= "~":
        return character
    return "".join(f"\\{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _kind(content: bytes) -> str:
    oid = _oid(_one(next(_elements(content))[1], _OID))
    return _KINDS.get(oid, oid)


def _extensions(fields: list[tuple[int, bytes]]) -> Iterator[tuple[str, bytes]]:
    for tag, content in fields:
        if tag == _EXTENSIONS:
            for _, extension in _elements(_one(content, _SEQUENCE)):
                parts = list(_elements(extension))
                yield _oid(parts[0][1]), parts[-1][1]


def _alt_names(content: bytes) -> Iterator[str]:
    for tag, name in _elements(_one(content, _SEQUENCE)) if content else ():
        if tag == _DNS:
            yield "".join(map(_escaped, name.decode("ascii", "replace").lower()))
        elif tag == _IP:
            yield str(ipaddress.ip_address(name))


def _access_methods(content: bytes) -> set[str]:
    if not content:
        return set()
    return {_oid(_one(access, _OID)) for _, access in _elements(_one(content, _SEQUENCE))}
