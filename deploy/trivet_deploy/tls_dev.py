"""`serve --tls-dev`: a certificate for this machine's names, by an authority that is trusted once and stays.

Both are made by trustme and lie in the user's state folder. Never for anything that others reach.
"""

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from . import screen
from .refusal import Refusal

_DAYS = 90


def make(environ: Mapping[str, str] = os.environ) -> Path:
    """Make what is missing, say how to trust it, and return the file with certificate and key."""
    try:
        import trustme
    except ImportError:
        raise Refusal("--tls-dev needs trustme; write: pip install trustme") from None
    folder = _folder(environ)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = _authority(folder, trustme.CA)
        until = datetime.now(UTC) + timedelta(days=_DAYS)
        leaf = authority.issue_cert("localhost", socket.gethostname(), "127.0.0.1", "::1", not_after=until)
        pair = folder / "site.pem"
        _write(pair, leaf.private_key_and_cert_chain_pem.bytes())
    except OSError as error:
        raise Refusal(f"{folder}: {error.strerror}; --tls-dev keeps its certificates there") from None
    screen.tell(
        f"https with a certificate for development; to trust it: curl --cacert {folder / 'authority.pem'}\n"
        "or import that file into your browser as an authority\n"
    )
    return pair


def _authority(folder: Path, kind: Any) -> Any:
    certificate, key = folder / "authority.pem", folder / "authority.key"
    if certificate.exists() and key.exists():
        return kind.from_pem(certificate.read_bytes(), key.read_bytes())
    made = kind()
    _write(key, made.private_key_pem.bytes())
    _write(certificate, made.cert_pem.bytes())
    return made


def _write(path: Path, content: bytes) -> None:
    """Put in place as a whole, for its owner alone."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.rename(path)


def _folder(environ: Mapping[str, str]) -> Path:
    state = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return Path(state) / "trivet" / "tls-dev"
