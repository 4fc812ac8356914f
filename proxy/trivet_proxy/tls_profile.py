"""What is spoken over TLS: Mozilla's profiles (guideline 5.8) as a context without a certificate."""

import ssl

from . import openssl
from .tls_groups import set_groups

# Intermediate: forward secrecy and AEAD only. TLS 1.3 has its own three suites.
_CIPHERS = ":".join(
    f"ECDHE-{kind}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for kind in ("ECDSA", "RSA")
)
_OLDEST = {"intermediate": ssl.TLSVersion.TLSv1_2, "modern": ssl.TLSVersion.TLSv1_3}
_VERIFY = {"off": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def new_context(profile: str, client: str) -> ssl.SSLContext:
    """`client`: whether clients are asked for a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _OLDEST[profile]
    context.set_ciphers(_CIPHERS)
    set_groups(context)
    # Compression gives secrets away (CVE-2012-4929); renegotiating costs us more than who asks for it
    # (CVE-2011-1473). All suites are good: who has no hardware for AES may prefer another one.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.verify_mode = _VERIFY[client]
    openssl.prepare(context)
    return context
