import errno
import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from trivet_common.config.pair import (
    PairError,
    load_authorities,
    load_material,
    load_pair,
    read_authorities,
    read_pair,
    why_unfit,
    worries,
)
from trivet_common.config.tls import Pair

CA = trustme.CA()
DAY = timedelta(days=1)
PEM = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n"


def written(folder: Path, leaf: trustme.LeafCert, name: str = "site") -> Pair:
    """Both files, as certbot leaves them."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    key.chmod(0o600)
    return Pair(certificate, key)


def test_a_good_pair_has_no_worries(tmp_path: Path) -> None:
    pair = written(tmp_path, CA.issue_cert("a.example"))
    chain = load_pair(pair)
    assert chain[0].names == ("a.example",)
    assert why_unfit(chain) is None
    assert list(worries(pair, chain)) == []


def test_both_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "both.pem"
    file.write_bytes(CA.issue_cert("a.example").private_key_and_cert_chain_pem.bytes())
    file.chmod(0o600)
    load_pair(Pair(file, file))


def test_two_kinds_of_key_stand_side_by_side(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for kind in trustme.KeyType:
        pair = written(tmp_path, CA.issue_cert("a.example", key_type=kind), kind.name)
        load_material(pair, read_pair(pair), context)


def broken(folder: Path, how: str) -> Pair:
    pair = written(folder, CA.issue_cert("a.example"))
    if how == "mismatch":
        pair.key.write_bytes(CA.issue_cert("a.example").private_key_pem.bytes())
    elif how == "other kind":
        other = CA.issue_cert("a.example", key_type=trustme.KeyType.RSA)
        pair.key.write_bytes(other.private_key_pem.bytes())
    elif how == "no key":
        pair.key.write_text("nothing")
    elif how == "spoilt key":
        lines = pair.key.read_text().splitlines()
        pair.key.write_text("\n".join([lines[0], "AAAA", lines[-1]]))
    elif how == "encrypted":
        pair.key.write_text(PEM)
    elif how == "cut":
        pair.certificate.write_bytes(pair.certificate.read_bytes()[:200])
    elif how == "empty":
        pair.certificate.write_text("")
    elif how == "gone":
        pair.certificate.unlink()
    elif how == "folder":
        pair.certificate.unlink()
        pair.certificate.mkdir()
    elif how == "endless":
        pair.certificate.unlink()
        os.symlink("/dev/zero", pair.certificate)
    elif how == "pipe":
        pair.key.unlink()
        os.mkfifo(pair.key)
    elif how == "large":
        pair.certificate.write_bytes(bytes(2**21))
    return pair


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("mismatch", "site.key does not belong to the certificate in"),
        ("other kind", "site.key does not belong to the certificate in"),
        ("no key", "site.key holds no private key"),
        ("spoilt key", "OpenSSL cannot read them"),
        ("encrypted", "OpenSSL cannot read them|is encrypted"),
        ("cut", "site.pem holds no certificate"),
        ("empty", "site.pem holds no certificate"),
        ("gone", "site.pem: No such file"),
        ("folder", "site.pem: Is a directory"),
        ("endless", "site.pem is not a file"),
        ("pipe", "site.key is not a file"),
        ("large", "site.pem is too large"),
    ],
)
def test_a_broken_pair_says_what_is_wrong(tmp_path: Path, how: str, words: str) -> None:
    with pytest.raises(PairError, match=words):
        load_pair(broken(tmp_path, how))


def test_a_password_is_never_asked_for(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    pair = written(tmp_path, CA.issue_cert("a.example"))
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(PairError, match="is encrypted"):
        load_pair(pair)


def test_what_is_odd(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old = written(tmp_path, CA.issue_cert("a.example", not_after=now - 2 * DAY), "old")
    soon = written(tmp_path, CA.issue_cert("a.example", not_after=now + 3.5 * DAY), "soon")
    assert [text for _, text in worries(old, load_pair(old))] == [
        f"{old.certificate}: it expired on {(now - 2 * DAY):%Y-%m-%d}; renew it, clients refuse it"
    ]
    ((key, text),) = worries(soon, load_pair(soon))
    assert (key, "expires in 3 days" in text) == ("certificate", True)
    soon.key.chmod(0o644)
    assert [key for key, _ in worries(soon, load_pair(soon))] == ["certificate", "key"]
    early = load_pair(old)
    assert "not valid before" in str(why_unfit(early, time.time() - 10**9))


def test_a_chain_in_the_wrong_order(tmp_path: Path) -> None:
    lower = CA.create_child_ca()
    leaf = lower.issue_cert("a.example")
    pair = written(tmp_path, leaf)
    assert list(worries(pair, load_pair(pair))) == []
    pems = [pem.bytes() for pem in leaf.cert_chain_pems]
    pair.certificate.write_bytes(pems[0] + CA.cert_pem.bytes())
    ((_, text),) = worries(pair, load_pair(pair))
    assert "out of order" in text


def test_authorities(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(CA.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_authorities(read_authorities(file), context)
    assert len(context.get_ca_certs()) == 1
    file.write_text("nobody")
    with pytest.raises(PairError, match="holds no certificate"):
        read_authorities(file)


def no_descriptors(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_what_is_lacking_here_is_said_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = written(tmp_path, CA.issue_cert("a.example"))
    monkeypatch.setattr(os, "memfd_create", no_descriptors)
    with pytest.raises(PairError, match=r"site.pem cannot be loaded now: Too many open files"):
        load_pair(pair)
    with pytest.raises(PairError, match=r"site.pem cannot be loaded now: Too many open files"):
        read_authorities(pair.certificate)


def test_nobody_prints_a_key(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(read_pair(written(tmp_path, CA.issue_cert("a.example"))))
