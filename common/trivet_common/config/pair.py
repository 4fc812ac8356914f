"""A certificate and its key as they lie on disk: loaded into a context, or why not, and what is odd there.

The one place where OpenSSL's words about files are put into ours. Knows no listener and no connection.
"""

import itertools
import os
import ssl
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from trivet_common.certificates import Certificate, CertificateError, read_certificate, read_chain

from .sighting import Unreadable, content
from .tls import Pair

_SOON = 14  # days; certbot renews at 30


class PairError(Exception):
    """This pair cannot be served; the text is a sentence that names the file."""


class _Encrypted(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Material:
    """What the two files of a pair held when they were read."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    chain: tuple[Certificate, ...]


def load_pair(pair: Pair) -> tuple[Certificate, ...]:
    """Try whether it can be loaded; its chain. Raises PairError."""
    return try_pair(pair).chain


def try_pair(pair: Pair) -> Material:
    """What OpenSSL has accepted. Raises PairError."""
    material = read_pair(pair)
    load_material(pair, material, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    return material


def read_pair(pair: Pair) -> Material:
    """Raises PairError."""
    certificate = _content(pair.certificate)
    chain = _chain_of(pair.certificate, certificate)
    key = certificate if pair.key == pair.certificate else _content(pair.key)
    if b"PRIVATE KEY-----" not in key:
        raise PairError(f"{pair.key} holds no private key (-----BEGIN PRIVATE KEY-----)")
    return Material(certificate, key, chain)


def load_material(pair: Pair, material: Material, context: ssl.SSLContext) -> None:
    """Raises PairError."""
    try:
        with _in_memory(material.certificate) as certificate, _in_memory(material.key) as key:
            context.load_cert_chain(certificate, key, _refuse_password)
    except _Encrypted:
        raise PairError(f"the key in {pair.key} is encrypted; nobody is there to type its password") from None
    except ssl.SSLError as error:
        raise PairError(_explained(pair, error)) from None
    except OSError as error:
        raise PairError(f"{pair.certificate} cannot be loaded now: {error.strerror}") from None


def read_authorities(path: Path) -> bytes:
    """Who signs clients' certificates. Raises PairError."""
    content = _content(path)
    _chain_of(path, content)
    try:
        load_authorities(content, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    except ssl.SSLError as error:
        raise PairError(f"{path}: {error.reason or error}") from None
    except OSError as error:
        raise PairError(f"{path} cannot be loaded now: {error.strerror}") from None
    return content


def missing_root(content: bytes) -> str | None:
    """Whose certificate is lacking among these authorities for any client to be let in.

    OpenSSL trusts an intermediate only together with the root above it.
    """
    found = read_chain(content)
    return None if any(one.is_self_issued for one in found) else found[-1].issuer


def load_authorities(content: bytes, context: ssl.SSLContext) -> None:
    """Raises OSError (an SSLError is one)."""
    with _in_memory(content) as path:
        context.load_verify_locations(path)


def why_unfit(chain: tuple[Certificate, ...], now: float | None = None) -> str | None:
    """Why a pair that loads should not take the place of one that serves; None for a good one."""
    now = time.time() if now is None else now
    own = chain[0]
    if own.not_after <= now:
        return f"it expired on {date(own.not_after)}"
    if own.not_before > now:
        return f"it is not valid before {date(own.not_before)}"
    return None


def worries(pair: Pair, chain: tuple[Certificate, ...]) -> Iterator[tuple[str, str]]:
    """What is worth a warning: the file meant (certificate or key), and the sentence with its cure."""
    own, days = chain[0], chain[0].days_left()
    if unfit := why_unfit(chain):
        yield "certificate", f"{pair.certificate}: {unfit}; renew it, clients refuse it"
    elif days < _SOON:
        yield "certificate", f"{pair.certificate} expires in {days} days, on {date(own.not_after)}; renew it"
    if odd := _odd_chain(chain):
        yield "certificate", f"{pair.certificate}: {odd}"
    if mode := _open_to_all(pair.key):
        yield "key", f"everybody on this machine may read {pair.key} (mode {mode:04o}); chmod 600 it"


def date(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _content(path: Path) -> bytes:
    try:
        return content(path)
    except Unreadable as error:
        raise PairError(str(error)) from None


def _chain_of(path: Path, content: bytes) -> tuple[Certificate, ...]:
    try:
        return read_chain(content)
    except CertificateError as error:
        raise PairError(f"{path} {error}") from None


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path for OpenSSL, which takes nothing else, to what we judged: the file may be another by now."""
    fd = os.memfd_create("trivet-certificate", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def _refuse_password() -> str:
    raise _Encrypted


def _explained(pair: Pair, error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    match reason:
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED":
            return f"the key in {pair.key} does not belong to the certificate in {pair.certificate}"
        case "EE_KEY_TOO_SMALL" | "KEY_TOO_SMALL":
            return f"the key of {pair.certificate} is too short to be safe; make one of 2048 bits or more"
        case "CA_MD_TOO_WEAK" | "MD_TOO_WEAK":
            return f"a certificate in {pair.certificate} is signed by SHA-1 or weaker"
    return f"{pair.certificate} with {pair.key}: OpenSSL cannot read them ({reason})"


def _odd_chain(chain: tuple[Certificate, ...]) -> str | None:
    for lower, upper in itertools.pairwise(chain):
        if lower.issuer != upper.subject:
            return (
                f"its chain is out of order: {lower.subject} is followed by {upper.subject}; "
                f"next must come {lower.issuer}"
            )
    last = chain[-1]
    if last.is_self_issued or not last.has_known_issuer or last.issuer in _roots():
        return None
    return (
        f"its chain is not complete: the certificate of {last.issuer} is missing; append it (fullchain.pem)"
    )


@cache
def _roots() -> frozenset[str]:
    """The subjects of the certificates this system trusts."""
    found = set()
    for der in ssl.create_default_context().get_ca_certs(binary_form=True):
        try:
            found.add(read_certificate(der).subject)
        except CertificateError:
            pass  # an odd one among the system's own is not ours to judge
    return frozenset(found)


def _open_to_all(path: Path) -> int | None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    return mode if mode & stat.S_IROTH else None
