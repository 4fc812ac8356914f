import pytest

from trivet_common.config.settings_log import RouteLog
from trivet_proxy.note import basic_user, log_line, masked


def test_the_name_of_basic_credentials() -> None:
    assert basic_user(b"Basic YWxpY2U6c2VjcmV0") == "alice"
    assert basic_user(b"basic YWxpY2U6") == "alice"


@pytest.mark.parametrize("value", [b"Basic !!!", b"Bearer YWxpY2U6", b"Basic", b"", b"Basic " + b"A" * 2000])
def test_rubbish_is_no_name(value: bytes) -> None:
    assert basic_user(value) == ""


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("10.255.255.255", "10.255.255.0"),
        ("2001:db8:aaaa:bbbb:cccc::1", "2001:db8:aaaa::"),
        ("2001:db8::1", "2001:db8::"),
        ("::1", "::"),
        ("", ""),  # of a Unix socket
        ("nobody", ""),
    ],
)
def test_masked_addresses(address: str, network: str) -> None:
    assert masked(address) == network


def test_only_what_is_asked_for_is_noted_apart() -> None:
    assert log_line(RouteLog()) is None
    assert log_line(RouteLog(is_on=False)) is not None
    assert log_line(RouteLog(is_masked=True)) is not None
    assert log_line(RouteLog(file="stderr")) is not None
