"""What the backend's tests stand their rooms on: heads, a link that remembers, a log that remembers."""

from trivet_backend.response import ClientLeft
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.request import RequestHead, RequestReader


def request_head(
    target: str = "/", *fields: tuple[str, str], method: str = "GET", version: str = "1.1"
) -> RequestHead:
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in fields)]
    if version == "1.1" and not any(name.lower() == "host" for name, _ in fields):
        lines.append("host: example.com")
    head = RequestReader(HeadLimits()).feed(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    assert head is not None
    return head


class FakeLink:
    """Keeps every send; leaves after `leaves_after` of them."""

    def __init__(self, leaves_after: int | None = None) -> None:
        self.sends: list[bytes] = []
        self.files: list[tuple[int, int]] = []
        self.handed: list[int] = []
        self.leaves_after = leaves_after

    def send(self, data: bytes) -> None:
        if self.leaves_after is not None and len(self.sends) >= self.leaves_after:
            raise ClientLeft("closed")
        self.sends.append(data)

    def send_file(self, fd: int, offset: int, count: int, is_handed: bool = False) -> int:
        import os

        if is_handed:
            self.handed.append(fd)
            return count
        self.files.append((offset, count))
        data = os.pread(fd, count, offset)
        self.sends.append(data)
        return len(data)

    @property
    def bytes(self) -> bytes:
        return b"".join(self.sends)

    @property
    def head(self) -> bytes:
        return self.bytes.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.bytes.partition(b"\r\n\r\n")[2]


class FakeLog:
    def __init__(self) -> None:
        self.errors: list[str] = []
        self.debugs: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)

    def debug(self, text: str) -> None:
        self.debugs.append(text)
