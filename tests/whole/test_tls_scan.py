"""How two scanners see the default: sslyze holds it to Mozilla's intermediate profile, testssl tries attacks.

Neither is a dependency of ours. `pip install sslyze` elsewhere and name it: SSLYZE=/path/to/sslyze. testssl
comes with the system (`apt install testssl.sh`), or TESTSSL=/path/to/testssl.sh names it.
"""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.whole.over import put
from tests.whole.running import running

SSLYZE = os.environ.get("SSLYZE") or shutil.which("sslyze")
TESTSSL = os.environ.get("TESTSSL") or shutil.which("testssl") or shutil.which("testssl.sh")
CONFIG = """
listen: {address: 127.0.0.1:0, tls: {certificate: site.pem, key: site.key}}
proxy: {processes: 1}
defaults: {hsts: {age: 2y}}
routes: [{path: /, respond: hello}]
"""


def write_as_browsers_want_it(folder: Path) -> None:
    """By the CA/Browser Forum's rules, which sslyze's verifier holds to the letter (trustme's are freer)."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    ca_id = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())

    def built(name: x509.Name, public: ec.EllipticCurvePublicKey, *extensions: tuple[Any, bool]) -> bytes:
        builder = x509.CertificateBuilder(
            ca_name,
            name,
            public,
            x509.random_serial_number(),
            now - timedelta(days=1),
            now + timedelta(days=89),
        )
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id)
        for extension, is_critical in (*extensions, (issuer, False)):
            builder = builder.add_extension(extension, is_critical)
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM)

    signs = dict.fromkeys(
        ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement"], False
    ) | {"encipher_only": False, "decipher_only": False}
    ca = built(
        ca_name,
        ca_key.public_key(),
        (x509.BasicConstraints(True, None), True),
        (x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **signs), True),
        (ca_id, False),
    )
    leaf = built(
        own,
        key.public_key(),
        (x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False),
        (x509.BasicConstraints(False, None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.KeyUsage(digital_signature=True, key_cert_sign=False, crl_sign=False, **signs), True),
    )
    put(folder / "ca.pem", ca)
    put(folder / "site.pem", leaf + ca)
    put(
        folder / "site.key",
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


@pytest.mark.drill
@pytest.mark.skipif(SSLYZE is None, reason="sslyze is not here")
def test_it_is_mozillas_intermediate_profile(tmp_path: Path) -> None:
    write_as_browsers_want_it(tmp_path)
    with running(tmp_path, CONFIG) as site:
        assert SSLYZE is not None
        done = subprocess.run(
            [
                SSLYZE,
                "--mozilla_config=intermediate",
                f"--certinfo_ca_file={tmp_path / 'ca.pem'}",
                f"127.0.0.1:{site.port}",
            ],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    print(done.stdout)
    assert "OK - Compliant." in done.stdout
    assert "VULNERABLE" not in done.stdout.replace("Not vulnerable", "")


# What testssl 3.0 looks for by name; each must have been tried, and none may be there.
KNOWN = frozenset(
    (
        *("heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS"),
        *("BREACH", "POODLE_SSL", "fallback_SCSV", "SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST"),
        *("LUCKY13", "RC4"),
    )
)
WORDS = ("--quiet", "--color=0", "--warnings=off", "--protocols", "--server-preference", "--vulnerable")
GOOD = frozenset({"OK", "INFO", "DEBUG"})
# What it finds fault with besides, and why we do not.
EXCEPTIONS = {
    "engine_problem": "its own OpenSSL has no GOST",
    "cipher_order": "all suites are good: the client's order counts, as in Mozilla's profile",
}


@pytest.mark.slow
@pytest.mark.skipif(TESTSSL is None, reason="testssl is not here (apt install testssl.sh)")
def test_no_known_attack_finds_a_way(tmp_path: Path) -> None:
    write_as_browsers_want_it(tmp_path)
    found = tmp_path / "found.json"
    with running(tmp_path, CONFIG) as site:
        assert TESTSSL is not None
        done = subprocess.run(
            [TESTSSL, *WORDS, f"--jsonfile={found}", f"127.0.0.1:{site.port}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=540,
            check=False,
        )
        assert site.process.poll() is None
    print(done.stdout)
    rows = {row["id"]: row for row in json.loads(found.read_text())}
    assert KNOWN - rows.keys() == set(), done.stdout
    bad = {
        name: f"{row['severity']}: {row['finding']}"
        for name, row in rows.items()
        if row["severity"] not in GOOD and name not in EXCEPTIONS
    }
    assert bad == {}
