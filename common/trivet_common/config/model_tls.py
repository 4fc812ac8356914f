"""The keys of `tls` below a listener: field, default and meaning together, once."""

from typing import Annotated, Any

from . import fields
from .section import Section, required, setting

Hosts = Annotated[
    tuple[fields.Word, ...], fields.Short("name or list", fields.one_or_list, {"type": "string"})
]
_HOSTS = 'The names it is for: exact, or `"*.example.com"`; else those the certificate says.'
_KEY = "The private key; else it stands in the certificate's file."


class CertificateKeys(Section):
    """One certificate of several"""

    certificate: fields.PathText = required("The certificate with its chain, the site's own first (PEM).")
    key: fields.PathText | None = setting(None, _KEY)
    hosts: Hosts = setting((), _HOSTS)


class TlsKeys(Section):
    """`tls` of a listener"""

    certificate: fields.PathText | None = setting(
        None, "The certificate with its chain, the site's own first (PEM)."
    )
    key: fields.PathText | None = setting(None, _KEY)
    hosts: Hosts = setting((), _HOSTS)
    certificates: tuple[CertificateKeys, ...] = setting(
        (),
        "Instead of `certificate`: several, chosen by the name the client asks for, the first as default. "
        "An RSA and an ECDSA certificate for the same names stand side by side.",
    )
    strict: fields.Switch = setting(
        False, "Refuse names that no certificate is for, instead of showing the first one."
    )
    profile: Annotated[str, fields.choice("intermediate", "modern")] = setting(
        "intermediate", "Mozilla's: `intermediate` (TLS 1.2 and 1.3), `modern` (1.3 only)."
    )
    client: Annotated[str, fields.choice("off", "optional", "required")] = setting(
        "off", "Whether clients are asked for a certificate, or must have one. For all names alike."
    )
    client_ca: fields.PathText | None = setting(None, "Who signs the clients' certificates (PEM).")
    handshake_timeout: fields.Duration = setting(
        "10s", "How long a handshake may take, from the connection on."
    )


def _tls_short(value: Any) -> Any:
    return {"certificates": value} if isinstance(value, (list, tuple)) else value


Tls = Annotated[TlsKeys, fields.Short("list of certificates", _tls_short, {"type": "array"})]
