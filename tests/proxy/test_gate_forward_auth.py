"""The gate with a service that a test plays; over real sockets in tests/whole/test_route_access.py."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from tests.proxy.fakes_core import pair
from tests.proxy.fakes_gates import Inner, Sent, client, request
from trivet_common.config.settings_access import ForwardAuth
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.forwarded import build_upstream_head
from trivet_proxy.gates.forward_auth import forward_auth_gate
from trivet_proxy.note import note


class Service:
    """Who is asked: answers with what it was made with, and keeps the heads it was sent."""

    def __init__(
        self, status: int = 200, *fields: tuple[bytes, bytes], body: bytes = b"", error: str = ""
    ) -> None:
        self.status, self.fields, self.body, self.error = status, list(fields), body, error
        self.heads: list[bytes] = []
        self.late = 0.0

    async def __call__(self, request: Any, writer: Any) -> None:
        self.heads.append(build_upstream_head(request, b""))
        await trio.sleep(self.late)
        if self.error:
            raise refuse(self.error)
        if not self.status:
            return
        writer.start(self.status, None, self.fields, None)
        for at in range(0, len(self.body), 1000):
            writer.write(self.body[at : at + 1000])
            assert writer.has_room
        await writer.finish()


class Gate:
    """One, with all it needs; `pass_through` gives what the client was sent."""

    def __init__(self, service: Service, **keys: Any) -> None:
        self.service = service
        self.inner = Inner()
        self.gate = forward_auth_gate(ForwardAuth("/verify?x=1", **keys), service, self.inner)
        self.resources = SimpleNamespace(
            deadlines=Deadlines(), is_draining=False, write_timeout=5.0, write_rate=None
        )

    async def pass_through(self, *lines: str, **how: Any) -> tuple[Any, Sent]:
        asked = request(*lines, resources=self.resources, **how)
        wire, peer = pair()
        sent = Sent(wire=wire)
        try:
            await self.gate(asked, sent)
        finally:
            wire.close("test over")
            peer.close()
        return asked, sent


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("/private/x?b=%2f", b"/private/x?b=%2f"),
        ("//private//x", b"/private/x"),
        ("/%70rivate/x?a", b"/private/x?a"),
        ("/private%2Fx", b"/private/x"),
        ("/a%20b%3Fc", b"/a%20b%3Fc"),
        ("/caf%c3%a9", b"/caf%C3%A9"),
    ],
)
async def test_a_path_is_asked_about_as_it_is_matched(target: str, uri: bytes) -> None:
    """However it is spelt: rules for /private/ must hold for all that leads there."""
    gate = Gate(Service())
    await gate.pass_through(path=target)
    assert b"\r\nx-forwarded-uri: " + uri + b"\r\n" in gate.service.heads[0]


async def test_what_is_asked() -> None:
    gate = Gate(Service())
    await gate.pass_through(
        "cookie: a=1",
        "content-type: text/plain",
        "if-none-match: x",
        "range: bytes=0-0",
        "x-forwarded-uri: /harmless",
        "x-forwarded-method: HEAD",
        "x-forwarded-for: 10.0.0.1",
        "connection: x-secret",
        "x-secret: 1",
        path="/a%20b?c=1&d",
        method="DELETE",
    )
    (head,) = gate.service.heads
    lines = head.decode().split("\r\n")
    assert lines[0] == "GET /verify?x=1 HTTP/1.1"
    assert sorted(lines[1:-2]) == [
        "cookie: a=1",
        "host: h.example",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: h.example",
        "x-forwarded-method: DELETE",
        "x-forwarded-port: 80",
        "x-forwarded-proto: http",
        "x-forwarded-uri: /a%20b?c=1&d",
        "x-real-ip: 192.0.2.7",
        "x-request-id: id1",
    ]
    assert gate.inner.calls == 1


async def test_what_a_trusted_proxy_says_of_the_request_is_not_what_we_say() -> None:
    gate = Gate(Service(), host="auth:9091")
    await gate.pass_through(
        "x-forwarded-uri: /harmless", "x-forwarded-method: HEAD", who=client(is_trusted=True)
    )
    (head,) = gate.service.heads
    assert head.count(b"x-forwarded-uri: ") == head.count(b"x-forwarded-method: ") == 1
    assert b"x-forwarded-uri: /a?b=1\r\n" in head
    assert b"\r\nhost: auth:9091\r\n" in head


FORGED = ("remote-user: root", "REMOTE-GROUPS: admins", "connection: remote-user")


@pytest.mark.parametrize("is_trusted", [False, True])
async def test_copied_names_are_the_services_alone(is_trusted: bool) -> None:
    """Those it does not say as well: a client must not fill them in (as it could in Caddy before 2.11.2)."""
    service = Service(204, (b"remote-user", b"ann"), (b"set-cookie", b"x=1"), (b"x-other", b"1"))
    gate = Gate(service, copy=("remote-user", "remote-groups"))
    asked, _ = await gate.pass_through(*FORGED, who=client(is_trusted=is_trusted))
    head = build_upstream_head(asked, b"").lower()
    assert head.count(b"remote-user: ") == 1
    assert b"\r\nremote-user: ann\r\n" in head
    assert b"admins" not in head
    assert b"x-other" not in head
    assert asked.user == b"ann"
    assert note(asked, SimpleNamespace(status=200, sent=0)).user == "ann"


async def test_several_values_of_a_copied_name_go_on_and_cookies_of_the_client_stay() -> None:
    service = Service(200, (b"x-role", b"a"), (b"x-role", b"b"))
    asked, _ = await Gate(service, copy=("x-role",)).pass_through("cookie: a=1", "x-role: c")
    head = build_upstream_head(asked, b"")
    assert (head.count(b"x-role: "), head.count(b"x-role: c"), head.count(b"cookie: a=1")) == (2, 0, 1)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429])
async def test_a_refusal_goes_on_to_the_client(status: int) -> None:
    gate = Gate(Service(status, (b"www-authenticate", b"Bearer"), body=b"no" * 9000))
    asked, sent = await gate.pass_through()
    assert (sent.status, sent.body) == (status, b"no" * 9000)
    assert sent.headers == {b"www-authenticate": b"Bearer"}
    assert asked.record.why == ("unauthorized" if status == 401 else "denied")
    assert gate.inner.calls == 0


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        (
            "https://id.example/?rd={scheme}://{host}{uri}",
            b"https://id.example/?rd=http://h.example/a%3Fb%3D1",
        ),
        ("/login?next={uri}", b"/login?next=/a%3Fb%3D1"),
        ("/login", b"/login"),
    ],
)
async def test_a_401_may_lead_to_a_login_and_nothing_else_does(redirect: str, location: bytes) -> None:
    _, sent = await Gate(Service(401), redirect=redirect).pass_through()
    assert (sent.status, sent.headers[b"location"], sent.headers[b"cache-control"]) == (
        302,
        location,
        b"no-store",
    )
    _, sent = await Gate(Service(403), redirect=redirect).pass_through()
    assert sent.status == 403


@pytest.mark.parametrize(
    ("service", "status", "why"),
    [
        (Service(500), 502, "auth_bad"),
        (Service(503), 502, "auth_bad"),
        (Service(304), 502, "auth_bad"),
        (Service(0), 503, "auth_timeout"),
        (Service(200, body=b"x" * 300_000), 502, "auth_bad"),
        (Service(error="upstream_refused"), 502, "upstream_refused"),
        (Service(error="upstream_bad"), 502, "upstream_bad"),
        (Service(error="upstream_timeout"), 503, "auth_timeout"),
        (Service(error="queue_full"), 503, "queue_full"),
        (Service(error="deadline"), 503, "auth_timeout"),
        (Service(error="app_error"), 502, "auth_bad"),
        (Service(error="internal"), 502, "auth_bad"),
        (Service(error="client_left"), 499, "client_left"),
    ],
)
async def test_a_failure_never_opens(service: Service, status: int, why: str) -> None:
    gate = Gate(service)
    with pytest.raises(HttpError) as refused:
        await gate.pass_through()
    assert (refused.value.status, refused.value.why) == (status, why)
    assert gate.inner.calls == 0


async def test_it_has_so_long(autojump_clock: trio.testing.MockClock) -> None:
    service = Service()
    service.late = 3.0
    with pytest.raises(HttpError) as refused:
        await Gate(service, timeout=2.0).pass_through()
    assert refused.value.why == "auth_timeout"
    assert trio.current_time() == pytest.approx(2.0)
    await Gate(service, timeout=4.0).pass_through()


async def test_a_request_that_is_passed_on_is_asked_once() -> None:
    gate = Gate(Service())
    inner = gate.inner
    settings = ForwardAuth("/verify?x=1")
    gate.gate = forward_auth_gate(settings, gate.service, forward_auth_gate(settings, gate.service, inner))
    await gate.pass_through()
    assert (len(gate.service.heads), inner.calls) == (1, 1)
