"""Names beyond ASCII, in a hello; and an exception that is ours."""

import ssl
import sys
from pathlib import Path

import pytest
import trio

from tests.proxy.fakes_tls import raw_pair
from tests.proxy.test_door import write
from trivet_common.config.tls import Tls
from trivet_proxy.complaints import Complaints
from trivet_proxy.door import Door
from trivet_proxy.tls_wire import HandshakeFailed
from trivet_proxy.unraisable import report_to

ASKED = b"aaaa.example"


def hello(name: bytes) -> bytes:
    """One that asks for `name`, as long as ASKED."""
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=ASKED.decode()).do_handshake()
    data = outgoing.read()
    assert data.count(ASKED) == 1
    return data.replace(ASKED, name)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", None)  # given back after the test
    report_to(Complaints(said.append))
    return said


@pytest.mark.parametrize("name", [b"\xff\xfe\x80a.example", b"aaaa.exampl\xe9"])
async def test_a_name_that_is_none(tmp_path: Path, said: list[str], name: bytes) -> None:
    door = Door(Tls((write(tmp_path, "a", "a.example"),)))
    wire, theirs = raw_pair(None, door._open)
    theirs.send(hello(name))
    with trio.fail_after(5), pytest.raises(HandshakeFailed, match="CALLBACK_FAILED"):
        await wire.shake_hands()
    assert said == []
    wire.close()
    theirs.close()


async def test_an_exception_of_ours_is_in_the_log(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(*_: object) -> None:
        raise LookupError("no such thing")

    door = Door(Tls((write(tmp_path, "a", "a.example"),)))
    door._open.sni_callback = choose
    for _ in range(2):
        wire, theirs = raw_pair(None, door._open)
        theirs.send(hello(ASKED))
        with trio.fail_after(5), pytest.raises(HandshakeFailed):
            await wire.shake_hands()
        wire.close()
        theirs.close()
    (text,) = said
    assert "LookupError: no such thing" in text
