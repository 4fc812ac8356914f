"""A request, a writer and a handler for one gate."""

from types import SimpleNamespace
from typing import Any

from tests.proxy.fakes_core import parse
from trivet_common.access_log import AccessRecord
from trivet_proxy.body import EMPTY
from trivet_proxy.request import Client, Request


def client(address: str = "192.0.2.7", is_trusted: bool = False) -> Client:
    return Client(address, address or None, "http", 80, address, is_trusted)


def request(
    *lines: str, path: str = "/a?b=1", method: str = "GET", who: Client | None = None, resources: Any = None
) -> Request:
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "host: h.example", *lines, "", ""]).encode("latin-1")
    return Request(parse(head)[0], EMPTY, who or client(), "id1", AccessRecord(), resources)


class Inner:
    """The handler behind a gate: how often it was reached."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, request: Request, writer: Any) -> None:
        self.calls += 1


class Sent(SimpleNamespace):
    """A writer that keeps what was sent."""

    status = 0

    async def send(self, status: int, headers: Any, body: bytes = b"", reason: bytes | None = None) -> None:
        self.status, self.headers, self.body, self.reason = status, dict(headers), body, reason
