"""`tls` of a listener: what is written, what comes of it, and what is said about mistakes."""

import os
import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from trivet_common.config import ConfigError, Settings, load
from trivet_common.config.tls import Tls

CA = trustme.CA()
REST = "routes: [{path: /, respond: x}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, leaf in (
        ("a", CA.issue_cert("a.example", "*.a.example")),
        ("b", CA.issue_cert("b.example", key_type=trustme.KeyType.RSA)),
        ("old", CA.issue_cert("a.example", not_after=datetime.now(UTC) - timedelta(days=3))),
        ("nameless", CA.issue_cert(common_name="nobody")),
    ):
        (tmp_path / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        (tmp_path / f"{name}.key").write_bytes(leaf.private_key_pem.bytes())
        (tmp_path / f"{name}.key").chmod(0o600)
        (tmp_path / f"{name}.both").write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        (tmp_path / f"{name}.both").chmod(0o600)
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


def read(folder: Path, text: str, **options: Any) -> Settings:
    (folder / "trivet.yaml").write_text(text + REST)
    return load(folder / "trivet.yaml", environ={}, **options)


def tls_of(folder: Path, written: str) -> Tls:
    settings = read(folder, f"listen: {{address: 127.0.0.1:8443, tls: {written}}}\n")
    assert settings.warnings == ()
    assert settings.listen[0].scheme == "https"
    found = settings.listen[0].tls
    assert found is not None
    assert pickle.loads(pickle.dumps(settings)).listen[0].tls == found
    return found


def test_one_certificate(folder: Path) -> None:
    tls = tls_of(folder, "{certificate: a.pem, key: a.key}")
    assert [(pair.certificate, pair.key, pair.hosts) for pair in tls.pairs] == [
        (folder / "a.pem", folder / "a.key", ())
    ]
    assert (tls.profile, tls.strict, tls.client, tls.client_ca, tls.handshake_timeout) == (
        "intermediate",
        False,
        "off",
        None,
        10.0,
    )


def test_the_key_in_the_same_file(folder: Path) -> None:
    (pair,) = tls_of(folder, "{certificate: a.both}").pairs
    assert pair.certificate == pair.key == folder / "a.both"


@pytest.mark.parametrize(
    "written",
    [
        "[{certificate: a.pem, key: a.key}, {hosts: B.example, certificate: b.pem, key: b.key}]",
        "{certificates: [{certificate: a.pem, key: a.key}, {hosts: [b.example], certificate: b.both}]}",
    ],
)
def test_several(folder: Path, written: str) -> None:
    first, second = tls_of(folder, written).pairs
    assert (first.certificate, first.hosts) == (folder / "a.pem", ())
    assert second.hosts == ("b.example",)


def test_everything_else(folder: Path) -> None:
    tls = tls_of(
        folder,
        "{certificate: a.both, profile: modern, strict: true, client: optional, client_ca: ca.pem, "
        "handshake_timeout: 3s}",
    )
    assert (tls.profile, tls.strict, tls.client, tls.client_ca, tls.handshake_timeout) == (
        "modern",
        True,
        "optional",
        folder / "ca.pem",
        3.0,
    )


def test_certificates_are_no_reason_to_restart_and_who_must_show_one_is(folder: Path) -> None:
    one = read(folder, "listen: {address: 127.0.0.1:8443, tls: {certificate: a.both}}\n").listen[0]
    other = read(folder, "listen: {address: 127.0.0.1:8443, tls: {certificate: b.both, strict: true}}\n")
    assert one.fixed == other.listen[0].fixed
    asking = read(
        folder,
        "listen: {address: 127.0.0.1:8443, "
        "tls: {certificate: a.both, client: required, client_ca: ca.pem}}\n",
    )
    assert one.fixed != asking.listen[0].fixed
    plain = read(folder, "listen: 127.0.0.1:8443\n")
    assert one.fixed != plain.listen[0].fixed


@pytest.mark.parametrize(
    ("written", "line", "words"),
    [
        ("{}", 3, "listen.tls: there is no certificate"),
        ("{key: a.key}", 3, "it belongs to a certificate"),
        ("{certificate: gone.pem}", 3, "listen.tls.certificate: there is no"),
        ("{certificate: a.pem}", 3, "a.pem holds no private key"),
        ("{certificate: a.pem, key: b.key}", 3, "b.key does not belong to the certificate in"),
        ("{certificate: nameless.pem, key: nameless.key}", 3, "names no host"),
        ("{certificate: a.both, certificates: [{certificate: b.both}]}", 3, "there are certificates as well"),
        ("{certificate: a.both, client: required}", 3, "listen.tls.client: nobody says who signs"),
        ("{certificate: a.both, client_ca: ca.pem}", 3, "clients are not asked"),
        ("{certificate: a.both, client: optional, client_ca: a.key}", 3, "a.key holds no certificate"),
        ("{certificate: a.both, profile: old}", 3, "is not one of intermediate, modern"),
        ("{certificate: a.both, hosts: [a_b.*.c]}", 3, "a * stands only at the front"),
        ("{certificate: a.both, protocols: TLSv1}", 3, "unknown key protocols in listen.tls"),
        (
            "\n    certificates:\n      - {certificate: a.both}\n"
            "      - certificate: b.pem\n        key: a.key",
            6,
            "a.key does not belong",
        ),
        ("\n    - {certificate: a.both}\n    - {certificate: b.pem, key: a.key}", 5, "a.key does not belong"),
        ("\n    - {certificate: a.both}\n    - {certificat: b.pem}", 5, "unknown key certificat"),
        ("443", 3, "this must be a mapping"),
    ],
)
def test_mistakes_stand_where_they_were_made(folder: Path, written: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(folder, f"listen:\n  address: 127.0.0.1:8443\n  tls: {written}\n")
    said = "\n".join(map(str, wrong.value.problems))
    assert words in said
    assert f"trivet.yaml:{line}: " in said, said


def test_what_is_odd_is_a_warning(folder: Path) -> None:
    (folder / "a.key").chmod(0o644)
    settings = read(
        folder,
        "listen:\n  address: 127.0.0.1:8443\n  tls:\n    - {certificate: a.pem, key: a.key}\n"
        "    - {certificate: old.both, hosts: [old.example]}\n",
    )
    said = [str(problem) for problem in settings.warnings]
    assert len(said) == 2
    assert "trivet.yaml:4: listen.tls" in said[0]
    assert "everybody on this machine may read" in said[0]
    assert "trivet.yaml:5: listen.tls" in said[1]
    assert "it expired on" in said[1]


def test_authorities_without_a_root_let_nobody_in(folder: Path) -> None:
    """OpenSSL needs the root too, and the handshake fails without a word about it."""
    child = CA.create_child_ca()
    intermediate, root = child.cert_pem.bytes(), CA.cert_pem.bytes()
    written = "{certificate: a.both, client: required, client_ca: some.pem}"
    (folder / "some.pem").write_bytes(intermediate)
    (said,) = read(folder, f"listen:\n  address: 127.0.0.1:8443\n  tls: {written}\n").warnings
    assert "trivet.yaml:3: listen.tls.client_ca: no certificate in" in str(said)
    assert "append the certificate of " in str(said)
    assert "trustme" in str(said)
    for content in (intermediate + root, root + intermediate):
        (folder / "some.pem").write_bytes(content)
        tls_of(folder, written)


def several(folder: Path, *written: str) -> Settings:
    rows = "".join(f"    - {each}\n" for each in written)
    return read(folder, f"listen:\n  address: 127.0.0.1:8443\n  tls:\n{rows}")


@pytest.mark.parametrize("hosts", ["", ", hosts: [a.example, '*.a.example']"])
def test_two_of_one_kind_for_the_same_names_are_a_mistake(folder: Path, hosts: str) -> None:
    """One of them was never shown, and nobody said so."""
    leaf = CA.issue_cert("*.a.example", "a.example")
    (folder / "again.both").write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    (folder / "again.both").chmod(0o600)
    with pytest.raises(ConfigError) as wrong:
        several(
            folder, f"{{certificate: a.both{hosts}}}", "{certificate: b.both}", "{certificate: again.both}"
        )
    (said,) = map(str, wrong.value.problems)
    assert "trivet.yaml:6: listen.tls" in said
    assert "trivet.yaml:4 is ECDSA and for the same names" in said


def test_two_that_share_a_name_are_a_warning(folder: Path) -> None:
    leaf = CA.issue_cert("a.example", "c.example")
    (folder / "wide.both").write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    (folder / "wide.both").chmod(0o600)
    (said,) = map(str, several(folder, "{certificate: a.both}", "{certificate: wide.both}").warnings)
    assert "trivet.yaml:5: listen.tls" in said
    assert "for a.example the ECDSA certificate of" in said
    assert (
        several(folder, "{certificate: a.both}", "{hosts: c.example, certificate: wide.both}").warnings == ()
    )


def test_two_kinds_for_the_same_names_are_none(folder: Path) -> None:
    assert (
        several(folder, "{certificate: a.both}", "{certificate: b.both, hosts: [a.example]}").warnings == ()
    )
    both = "{certificate: a.both, hosts: b.example}"
    assert several(folder, both, "{certificate: b.both}").warnings == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_we_may_not_read(folder: Path) -> None:
    (folder / "a.key").chmod(0)
    with pytest.raises(ConfigError, match="may not read"):
        read(folder, "listen: {address: 127.0.0.1:8443, tls: {certificate: a.pem, key: a.key}}\n")


def test_the_backend_alone_does_not_look_at_the_files(folder: Path) -> None:
    settings = read(
        folder,
        "pools: {web: {app: shop}}\nlisten: {address: 127.0.0.1:8443, tls: {certificate: gone.pem}}\n",
        purpose="backend",
    )
    assert settings.listen[0].tls is not None
