"""The Flask example: large bodies both ways, byte for byte, and what it is told about the client."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import Site, running
from tests.whole.talking import EXAMPLES, Talk, ask

pytestmark = pytest.mark.usefixtures("over")

SIZE = 50 * 1024 * 1024
CONFIG = f"""
pools:
  site: {{app: "app:app", directory: {EXAMPLES / "flask_site"}, workers: 1, threads: 2,
         env: {{SITE_DATA: HERE}}}}
"""


@pytest.fixture(scope="module")
def site(over: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("flask")
    with running(folder, CONFIG.replace("HERE", str(folder))) as site:
        yield site


@pytest.fixture(scope="module")
def parcel() -> bytes:
    return os.urandom(SIZE // 50) * 50


def test_upload_and_download_of_50_mib_byte_for_byte(site: Site, parcel: bytes) -> None:
    digest = hashlib.sha256(parcel).hexdigest()
    with Talk(site.address) as talk:
        talk.say(f"PUT /files/parcel.bin HTTP/1.1\nHost: a.example\nContent-Length: {SIZE}\n\n", parcel)
        told = talk.answer()
        assert told.status == 201
        assert (told.json()["size"], told.json()["sha256"]) == (SIZE, digest)
        back = talk.get(f"/files/{digest}")
        assert back.headers["content-length"] == str(SIZE)
        assert hashlib.sha256(back.body).hexdigest() == digest
        assert back.headers["content-disposition"] == "attachment; filename=parcel.bin"


def test_chunked_upload_of_unknown_length(site: Site, parcel: bytes) -> None:
    sent = parcel[: SIZE // 10]
    with Talk(site.address) as talk:
        talk.say("PUT /files/chunks.bin HTTP/1.1\nHost: a.example\nTransfer-Encoding: chunked\n\n")
        for at in range(0, len(sent), 65536):
            piece = sent[at : at + 65536]
            talk.say(f"{len(piece):x}\n", piece, "\n")
        told = talk.say("0\n\n").answer().json()
    assert (told["size"], told["sha256"]) == (len(sent), hashlib.sha256(sent).hexdigest())


def test_a_body_above_the_limit_is_refused_before_it_is_sent(site: Site) -> None:
    with Talk(site.address) as talk:
        length = 65 * 1024 * 1024  # limits.body is 64 MiB
        talk.say(f"PUT /files/x HTTP/1.1\nHost: a\nContent-Length: {length}\nExpect: 100-continue\n\n")
        assert talk.answer().status == 413


def test_client_scheme_and_host_without_any_setting(site: Site, over: str) -> None:
    seen = ask(site.address, "/whoami").json()
    assert (seen["client"], seen["scheme"], seen["host"]) == ("127.0.0.1", over, "a.example")
    assert seen["url"] == f"{over}://a.example/whoami"
    assert seen["threads_share_this_process"] is True
