"""A client that says exactly what it is told and reads exactly one answer at a time."""

import json
import re
import socket
from pathlib import Path
from typing import Any, NamedTuple

from tests.whole.over import connected

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    version: str
    reason: str

    def json(self) -> Any:
        return json.loads(self.body)


class Talk:
    """One connection; `patience` seconds for every wait, `source` the address to come from."""

    def __init__(self, address: tuple[str, int] | str, patience: float = 10.0, source: str = "") -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(patience)
        try:
            if source:
                self.sock.bind((source, 0))
            self.sock.connect(address)
            if not isinstance(address, str):
                self.sock = connected(address, self.sock)
        except OSError:
            self.sock.close()
            raise
        self.file = self.sock.makefile("rb")

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def say(self, *parts: str | bytes) -> "Talk":
        """Send; a str has its line ends as `\\n`, for legibility."""
        sent = [
            part.replace("\n", "\r\n").encode("latin-1") if isinstance(part, str) else part for part in parts
        ]
        self.sock.sendall(b"".join(sent))
        return self

    def get(self, target: str, *headers: str, method: str = "GET") -> Answer:
        lines = "".join(f"{line}\n" for line in headers)
        return self.say(f"{method} {target} HTTP/1.1\nHost: a.example\n{lines}\n").answer(method)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, whole. Asserts that its framing is well formed."""
        version, status, reason, headers = self.head()
        return Answer(status, headers, self._body(method, status, headers), version, reason)

    def head(self) -> tuple[str, int, str, dict[str, str]]:
        """Status line and fields; interim answers (1xx) are heads of their own."""
        version, status, reason = self._line().split(" ", 2)
        headers: dict[str, str] = {}
        while line := self._line():
            name, value = line.split(": ", 1)
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return version, int(status), reason, headers

    def chunk(self) -> bytes:
        """The next chunk of a chunked body; b"" is the last."""
        size = int(self._line(), 16)
        data = self.exactly(size)
        assert self._line() == ""
        return data

    def exactly(self, size: int) -> bytes:
        data = self.file.read(size)
        assert len(data) == size, f"{len(data)} of {size} bytes, then the end"
        return data

    def is_at_end(self) -> bool:
        """Whether the other side ends the connection next."""
        return self.file.read(1) == b""

    def _line(self) -> str:
        line = self.file.readline(65536)
        assert line.endswith(b"\r\n"), f"not a line: {line!r}"
        return line[:-2].decode("latin-1")

    def _body(self, method: str, status: int, headers: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (204, 304) or status < 200:
            return b""
        if headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        if "content-length" in headers:
            return self.exactly(int(headers["content-length"]))
        return self.file.read()


def ask(address: tuple[str, int] | str, target: str, *headers: str, method: str = "GET") -> Answer:
    """One request on a connection of its own."""
    with Talk(address) as talk:
        return talk.get(target, *headers, method=method)


def logged(line: str) -> dict[str, str]:
    """The name=value pairs of a line in the `trivet` format, with `target` and `status`."""
    found = re.match(r'\S+ - \S+ \[[^]]+\] "(\S+) (\S+) HTTP/1\.[01]" (\d+) (\d+) "[^"]*" "[^"]*" ', line)
    assert found, line
    pairs = dict(word.split("=", 1) for word in line[found.end() :].split())
    return pairs | {"method": found[1], "target": found[2], "status": found[3], "sent": found[4]}
