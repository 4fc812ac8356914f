import ssl

import pytest

from trivet_proxy.tls_profile import new_context


def test_intermediate_has_forward_secrecy_and_authenticated_encryption_only() -> None:
    context = new_context("intermediate", "off")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    suites = {suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.2"}
    assert len(suites) == 6
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in suites)
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_modern_is_one_version() -> None:
    assert new_context("modern", "off").minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("client", "mode"),
    [("off", ssl.CERT_NONE), ("optional", ssl.CERT_OPTIONAL), ("required", ssl.CERT_REQUIRED)],
)
def test_who_is_asked(client: str, mode: ssl.VerifyMode) -> None:
    assert new_context("intermediate", client).verify_mode == mode
