import datetime
import ssl
import time
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from trivet_common.certificates import CertificateError, _oid, _text, read_certificate, read_chain

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime(2026, 5, 4, 3, 2, 1)


def made(
    subject: list[x509.NameAttribute], *extensions: x509.ExtensionType, until: datetime.datetime
) -> bytes:
    """DER, by the library whose reading ours is held to."""
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An issuer, Inc.")]),
        subject_name=x509.Name(subject),
        public_key=key.public_key(),
        serial_number=0x0BADCAFE,
        not_valid_before=NOW,
        not_valid_after=until,
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, None).public_bytes(Encoding.DER)


def test_reads_what_trustme_makes() -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert("A.example", "*.b.example", "192.0.2.1", "2001:db8::1", common_name="a.example")
    chain = read_chain(leaf.cert_chain_pems[0].bytes() + ca.cert_pem.bytes())
    own, root = chain
    oracle = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    assert own.names == ("a.example", "*.b.example", "192.0.2.1", "2001:db8::1")
    assert own.subject == oracle.subject.rfc4514_string()
    assert own.issuer == oracle.issuer.rfc4514_string() == root.subject
    assert own.serial == f"{oracle.serial_number:x}"
    assert own.not_after == oracle.not_valid_after_utc.timestamp()
    assert own.not_before == oracle.not_valid_before_utc.timestamp()
    assert own.kind == "ECDSA"
    assert root.is_self_issued
    assert not own.is_self_issued
    assert not own.has_known_issuer
    rsa = ca.issue_cert("c.example", key_type=trustme.KeyType.RSA)
    assert read_chain(rsa.cert_chain_pems[0].bytes())[0].kind == "RSA"


def test_days_are_rounded_down() -> None:
    one = read_certificate(made([], until=NOW + 3 * DAY))
    at = one.not_before
    assert [one.days_left(at + day * 86400) for day in (0, 0.5, 2.5, 3.5)] == [3, 2, 0, -1]


def test_late_years_other_keys_and_where_the_issuer_is() -> None:
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/")
            )
        ]
    )
    one = read_certificate(made([], access, until=datetime.datetime(2060, 1, 1)))
    assert datetime.datetime.fromtimestamp(one.not_after, datetime.UTC).year == 2060
    assert one.has_known_issuer
    assert one.kind == "Ed25519"
    assert one.names == ()
    assert one.serial == "badcafe"


def test_a_name_is_printable_whatever_is_in_it() -> None:
    subject = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'A, "B" + C\\D;'),
        x509.NameAttribute(NameOID.COMMON_NAME, "Jürgen\r\nX-Forged: 1"),
    ]
    one = read_certificate(made(subject, until=NOW + DAY))
    assert one.subject == r"CN=J\C3\BCrgen\0D\0AX-Forged: 1,O=A\, \"B\" \+ C\\D\;,C=DE"


def test_names_that_differ_are_never_told_as_one() -> None:
    """An application lets somebody in by that text."""
    bmp, teletex, utf_8 = 0x1E, 0x14, 0x0C
    values = [(utf_8, b"me"), (utf_8, b"me "), (utf_8, b" "), (utf_8, b"me\\20")]
    values += [(teletex, b"Jos\xe8"), (teletex, b"Jos\xe9"), (bmp, b"\0m\0e\0#")]
    told = [_text(tag, content) for tag, content in values]
    assert told == ["me", r"me\20", r"\20", r"me\\20", r"Jos\E8", r"Jos\E9", "me#"]
    assert [text.strip() for text in told] == told
    with pytest.raises(ValueError):
        _text(bmp, b"\xd8\x00")


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "holds no certificate"),
        (b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "cannot be read"),
    ],
)
def test_what_is_no_certificate_says_so(pem: bytes, why: str) -> None:
    with pytest.raises(CertificateError, match=why):
        read_chain(pem)


def test_nothing_cut_or_changed_leads_to_another_error() -> None:
    der = made([], x509.SubjectAlternativeName([x509.DNSName("a.example")]), until=NOW + DAY)
    for at in range(len(der)):
        for wrong in (der[:at], der[:at] + bytes([der[at] ^ 0xFF]) + der[at + 1 :]):
            try:
                read_certificate(wrong)
            except CertificateError:
                pass


def test_reads_every_root_of_this_system(tmp_path: Path) -> None:
    for der in ssl.create_default_context().get_ca_certs(binary_form=True):
        one = read_certificate(der)
        assert one.is_self_issued
        assert one.not_after > one.not_before


def test_an_endless_number_in_a_name_is_refused_at_once() -> None:
    """Each byte of it would cost as much as all before it: a megabyte took minutes."""
    began = time.process_time()
    with pytest.raises(ValueError):
        _oid(b"\x55" + b"\xff" * 10_000_000 + b"\x01")
    assert time.process_time() - began < 1.0
    assert _oid(bytes.fromhex("69" + "83ffffffffffffffffffffffffffffffffff7f")) == f"2.25.{2**128 - 1}"
