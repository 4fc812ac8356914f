"""hearsay.py: which fields only a proxy in front may say."""

import pytest

from trivet_proxy.hearsay import is_claim


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (b"x-forwarded-for", True),
        (b"x-forwarded-user", True),
        (b"x-ssl-client-verify", True),
        (b"x-remote-user", True),
        (b"x-original-url", True),
        (b"remote-user", True),
        (b"x-auth-request-user", True),
        (b"x-authentik-groups", True),
        (b"trivet-claim", True),
        # What a client says of itself, and of its connection.
        (b"x-api-key", False),
        (b"cookie", False),
        (b"host", False),
        (b"upgrade", False),
    ],
)
def test_whose_word_counts(name: bytes, is_one: bool) -> None:
    assert is_claim(name) is is_one
