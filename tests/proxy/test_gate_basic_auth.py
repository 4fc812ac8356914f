import base64
from types import SimpleNamespace

import pytest

from tests.proxy.fakes_gates import Inner, request
from trivet_common.config.settings_access import BasicAuth
from trivet_common.http1.errors import HttpError
from trivet_proxy.forwarded import build_upstream_head
from trivet_proxy.gates.basic_auth import basic_auth_gate, read_credentials
from trivet_proxy.note import note

NOBODY = SimpleNamespace()


class Known:
    """Everybody whose password is the name turned round."""

    async def accepts(self, user: bytes, password: bytes, client: bytes) -> bool:
        return password == user[::-1]


def basic(text: bytes) -> str:
    return "authorization: Basic " + base64.b64encode(text).decode()


def gate(inner: Inner, forward: bool = False):
    return basic_auth_gate(BasicAuth("users", "staff only", forward), Known(), inner)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"Basic YW5uOm5uYQ==", (b"ann", b"nna")),
        (b"bAsIc   YW5uOm5uYQ==", (b"ann", b"nna")),
        (b"Basic " + base64.b64encode(b"ann:a:b"), (b"ann", b"a:b")),
        (b"Basic " + base64.b64encode("zoë:é".encode()), ("zoë".encode(), "é".encode())),
        (b"Basic " + base64.b64encode(b"ann:"), (b"ann", b"")),
        (b"Basic", None),
        (b"Basic ", None),
        (b"BasicYW5uOm5uYQ==", None),
        (b"Basic YW5uOm5uYQ", None),
        (b"Basic YW5u Om5uYQ==", None),
        (b"Basic YW5uOm5uYQ==, Basic YW5uOm5uYQ==", None),
        (b"Basic " + base64.b64encode(b"ann"), None),
        (b"Basic " + base64.b64encode(b":nna"), None),
        (b"Basic " + base64.b64encode(b"a\r\nx: y:z"), None),
        (b"Basic " + base64.b64encode(b"ann:a\0b"), None),
        (b"Basic " + base64.b64encode(b"a:" + b"b" * 4000), None),
        (b"Bearer YW5uOm5uYQ==", None),
    ],
)
def test_what_credentials_are(value: bytes, found: tuple[bytes, bytes] | None) -> None:
    assert read_credentials(value) == found


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [basic(b"ann:wrong")],
        ["authorization: Bearer x"],
        [basic(b"ann:nna"), basic(b"ann:nna")],
        [basic(b"ann:nna"), "authorization: Bearer x"],
        ["x-remote-user: ann"],
        ["proxy-authorization: " + basic(b"ann:nna").partition(": ")[2]],
    ],
)
async def test_who_is_asked_for_a_password(lines: list[str]) -> None:
    inner = Inner()
    with pytest.raises(HttpError) as refused:
        await gate(inner)(request(*lines), NOBODY)
    assert (refused.value.status, refused.value.why) == (401, "unauthorized")
    assert dict(refused.value.headers) == {b"www-authenticate": b'Basic realm="staff only", charset="UTF-8"'}
    assert inner.calls == 0


@pytest.mark.parametrize("is_trusted", [False, True])
async def test_the_application_hears_the_name_and_not_the_password(is_trusted: bool) -> None:
    asked = request(basic(b"ann:nna"), "x-remote-user: root", "connection: x-remote-user, close")
    asked.client.is_trusted = is_trusted
    await gate(Inner())(asked, NOBODY)
    head = build_upstream_head(asked, b"").lower()
    assert head.count(b"x-remote-user: ") == 1
    assert b"x-remote-user: ann\r\n" in head
    assert b"authorization" not in head
    assert asked.user == b"ann"
    assert note(asked, SimpleNamespace(status=200, sent=0)).user == "ann"


async def test_the_password_goes_on_where_that_is_said() -> None:
    asked = request(basic(b"ann:nna"))
    await gate(Inner(), forward=True)(asked, NOBODY)
    assert b"\r\nauthorization: Basic YW5uOm5uYQ==" in build_upstream_head(asked, b"")


async def test_a_request_that_is_passed_on_is_asked_once_and_by_another_file_again() -> None:
    inner = Inner()
    other = basic_auth_gate(BasicAuth("others", "x"), Known(), inner)
    asked = request(basic(b"ann:nna"))
    await gate(gate(other))(asked, NOBODY)
    assert inner.calls == 1
    assert asked.added == ((b"x-remote-user", b"ann"),)
