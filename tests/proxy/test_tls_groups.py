import subprocess
import sys

import pytest

from trivet_proxy import tls_groups

# In a process of its own: what is limited stays so.
SEEN = """
from trivet_proxy import tls_groups
import ssl
before = tls_groups._hello(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
assert tls_groups.limit_groups()
after = tls_groups._hello(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
print(tls_groups._IN_A_HELLO in before, tls_groups._IN_A_HELLO in after)
"""


def test_openssl_offers_only_what_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEEN], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_a_library_that_cannot_be_asked_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError("cannot open shared object")

    monkeypatch.setattr(tls_groups.ctypes, "CDLL", refuse)
    tls_groups._load_configuration()
