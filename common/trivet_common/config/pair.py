"""A certificate and its key as they lie on disk: loaded into a context, or why not, and what is odd there.

The one place where OpenSSL's words about files are put into ours. Knows no listener and no connection.
"""

import itertools
import os
import ssl
import stat
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from trivet_common.certificates import Certificate, CertificateError, read_certificate, read_chain

from .tls import Pair

# No certificate that anybody serves is this large; a wrong path may lead to anything.
_MOST = 1024 * 1024
_SOON = 14  # days; certbot renews at 30


class PairError(Exception):
    """This pair cannot be served; the text is a sentence that names the file."""


class _Encrypted(Exception):
    pass


def load_pair(pair: Pair, context: ssl.SSLContext | None = None) -> tuple[Certificate, ...]:
    """Load it into a context (one for trying, if none is given); its chain. Raises PairError."""
    chain = _chain_of(pair.certificate)
    if b"PRIVATE KEY-----" not in _content(pair.key):
        raise PairError(f"{pair.key} holds no private key (-----BEGIN PRIVATE KEY-----)")
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(pair.certificate, pair.key, _refuse_password)
    except _Encrypted:
        raise PairError(f"the key in {pair.key} is encrypted; nobody is there to type its password") from None
    except ssl.SSLError as error:
        raise PairError(_explained(pair, error)) from None
    except OSError as error:
        raise PairError(f"{error.filename or pair.certificate}: {error.strerror}") from None
    return chain


def load_authorities(path: Path, context: ssl.SSLContext) -> None:
    """Who signs clients' certificates. Raises PairError."""
    _chain_of(path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise PairError(f"{path}: {error.reason or error}") from None


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


def fingerprint(*paths: Path | None) -> tuple[object, ...]:
    """Changes when any of the files does."""
    return tuple(_stamp(path) for path in paths if path is not None)


def _stamp(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _chain_of(path: Path) -> tuple[Certificate, ...]:
    try:
        return read_chain(_content(path))
    except CertificateError as error:
        raise PairError(f"{path} {error}") from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PairError(f"{path} is not a file")
            content = file.read(_MOST + 1)
    except OSError as error:
        raise PairError(f"{path}: {error.strerror}") from None
    if len(content) > _MOST:
        raise PairError(f"{path} is too large for a certificate or key")
    return content


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
