import pytest

from trivet_proxy.note import basic_user


def test_the_name_of_basic_credentials() -> None:
    assert basic_user(b"Basic YWxpY2U6c2VjcmV0") == "alice"
    assert basic_user(b"basic YWxpY2U6") == "alice"


@pytest.mark.parametrize("value", [b"Basic !!!", b"Bearer YWxpY2U6", b"Basic", b"", b"Basic " + b"A" * 2000])
def test_rubbish_is_no_name(value: bytes) -> None:
    assert basic_user(value) == ""
