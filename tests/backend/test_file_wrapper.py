"""wsgi.file_wrapper: the kernel sends what is a real file, everything else is read."""

import gzip
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.backend.fakes import FakeLink, FakeLog, request_head
from trivet_backend.answer import answer
from trivet_backend.file_wrapper import FileWrapper, real_file
from trivet_backend.response import Response

DATA = bytes(range(256)) * 1000


def send(
    filelike: Any,
    *headers: tuple[str, str],
    method: str = "GET",
    takes: bool = False,
    is_claimed: bool = True,
) -> FakeLink:
    def application(environ: dict[str, Any], start_response: Any) -> FileWrapper:
        start_response("200 OK", list(headers))
        return FileWrapper(filelike, 8192)

    link = FakeLink()
    head = request_head("/", *([("trivet-takes", "file")] if takes else []), method=method)
    answer(application, {}, Response(link, FakeLog(), head, "id", True, is_claimed))
    assert filelike.closed
    return link


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    return path


def test_a_real_file_is_sent_by_the_kernel_with_its_length(path: Path) -> None:
    link = send(path.open("rb"))
    assert link.files == [(0, len(DATA))]
    assert b"content-length: %d" % len(DATA) in link.head
    assert link.body == DATA


def test_from_where_it_stands(path: Path) -> None:
    file = path.open("rb")
    file.read(1000)
    assert send(file).body == DATA[1000:]


def test_a_shorter_length_is_kept(path: Path) -> None:
    link = send(path.open("rb"), ("Content-Length", "100"))
    assert link.files == [(0, 100)]


def test_our_proxy_takes_the_file_itself(path: Path) -> None:
    file = path.open("rb")
    file.read(1000)
    link = send(file, takes=True)
    assert (len(link.handed), link.files, link.body) == (1, [], b"")
    assert b"trivet-file: 1000\r\n" in link.head
    assert b"content-length: %d" % (len(DATA) - 1000) in link.head


def test_what_is_not_handed_over(path: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(DATA[:1000])
    longer = ("Content-Length", str(len(DATA) + 1))
    for link in (
        send(path.open("rb")),  # the proxy has not said that it takes files
        send(path.open("rb"), takes=True, is_claimed=False),  # a stranger says so
        send(small.open("rb"), takes=True),
        send(path.open("rb"), longer, takes=True),  # the end of it will be missing
        send(path.open("rb"), takes=True, method="HEAD"),
    ):
        assert link.handed == []
        assert b"trivet-file" not in link.head


def test_no_file_is_sent_for_head(path: Path) -> None:
    link = send(path.open("rb"), ("Content-Length", str(len(DATA))), method="HEAD")
    assert link.body == b""


def test_a_gzip_file_is_read_not_sent_as_it_lies(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(b"unpacked")
    link = send(gzip.open(tmp_path / "x.gz"), ("Content-Length", "8"))  # noqa: SIM115  closed by close()
    assert link.files == []
    assert link.body == b"unpacked"


def test_a_file_in_memory_is_read() -> None:
    link = send(io.BytesIO(DATA), ("Content-Length", str(len(DATA))))
    assert link.files == []
    assert link.body == DATA


def test_a_temporary_file_is_flushed_first() -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"buffered")
        file.seek(0)
        found = real_file(file)
        assert found is not None
        assert found[1:] == (0, 8)


def test_a_pipe_is_no_regular_file() -> None:
    import os

    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as file:
        assert real_file(file) is None
