from typing import Any

import pytest

from tests.proxy.fakes_pool import FakeClient
from tests.proxy.test_handler_upstream import fail, make_server, open_upstream, process
from trivet_common.config.settings_errors import ErrorPage
from trivet_common.http1.errors import HttpError
from trivet_proxy.error_choice import ErrorChoice
from trivet_proxy.interception import Interception, intercepting

__all__ = ["make_server", "open_upstream", "process"]


class FakeWriter:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def send(self, *arguments: Any) -> None:
        self.calls.append(arguments)

    def start(self, *arguments: Any) -> None:
        self.calls.append(arguments)


CHOICE = ErrorChoice(
    [ErrorPage(5, intercept=True), ErrorPage(501), ErrorPage(404, intercept=True)], lambda path: b""
)
HEADERS = [
    (b"content-type", b"text/html"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d"), (b"etag", b'"x"'),
    (b"retry-after", b"9"), (b"access-control-allow-origin", b"*"), (b"content-encoding", b"gzip"),
]  # fmt: skip


@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("status", [200, 204, 302, 404, 403, 500, 501, 503])
async def test_errors_never_begin(status: int, is_whole: bool) -> None:
    writer: Any = FakeWriter()
    stage = Interception(writer, CHOICE)

    async def answer() -> None:
        if is_whole:
            await stage.send(status, HEADERS, b"body", b"Because")
        else:
            stage.start(status, b"Because", HEADERS, 4)

    if status not in (404, 500, 503):
        await answer()
        assert writer.calls == [
            (status, HEADERS, b"body", b"Because") if is_whole else (status, b"Because", HEADERS, 4)
        ]
        return
    with pytest.raises(HttpError) as caught:
        await answer()
    assert not writer.calls
    assert (caught.value.status, caught.value.why) == (status, "intercepted")
    assert caught.value.headers == (HEADERS[1], HEADERS[2], HEADERS[4], HEADERS[5])


def answer_of(status: int) -> bytes:
    return b"HTTP/1.1 %d Whatever\r\ncontent-length: 2\r\n\r\nno" % status


@pytest.mark.parametrize(("status", "is_out"), [(502, True), (500, False), (404, False)])
async def test_what_is_intercepted_counts_for_its_server_as_what_is_not(
    process: Any, make_server: Any, open_upstream: Any, status: int, is_out: bool
) -> None:
    server = make_server(lambda peer, asked: peer.send(answer_of(status)))
    handler = intercepting(CHOICE, open_upstream(server, fall=1))
    for _ in range(2):
        error = await fail(handler, FakeClient(process))
        assert (error.status, error.why) == (status, "intercepted")
    (found,) = open_upstream.made[-1]._servers
    assert (found.ejection.pauses > 0, found.busy) == (is_out, 0)
    assert len(server.asked) == 2
