"""Reads the corpus of raw requests. Knows its text format only: no parser of ours, no socket."""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_REPEAT = re.compile(r"\{\{(\d+)\*([^{}]*)\}\}")


@dataclass(frozen=True)
class Request:
    """A request as the application sees it."""

    method: bytes
    target: bytes
    body: bytes


@dataclass(frozen=True)
class Entry:
    """`status` 0: everything is accepted. `at_eof`: the verdict falls when the client has ended it all."""

    name: str
    row: str
    status: int
    at_eof: bool
    data: bytes
    requests: tuple[Request, ...]
    without: tuple[bytes, ...]

    def __str__(self) -> str:
        return f"{self.row}-{self.name}"


def refused() -> list[Entry]:
    return _read(HERE / "refuse.txt")


def accepted() -> list[Entry]:
    return _read(HERE / "accept.txt")


def _read(path: Path) -> list[Entry]:
    blocks = re.split(r"^== ", path.read_text("ascii"), flags=re.MULTILINE)[1:]
    return [_entry(block) for block in blocks]


def _entry(block: str) -> Entry:
    title, *lines = block.rstrip("\n").split("\n")
    name, row, *verdict = title.split()
    requests = tuple(_request(line[3:]) for line in lines if line.startswith("-> "))
    without = tuple(line[2:].encode("ascii") for line in lines if line.startswith("~ "))
    data = "".join(line for line in lines if not line.startswith(("-> ", "~ ")))
    return Entry(
        name=name,
        row=row,
        status=int(verdict[0]) if verdict else 0,
        at_eof="eof" in verdict,
        data=unescaped(data),
        requests=requests,
        without=without,
    )


def _request(line: str) -> Request:
    method, target, *body = line.split(" ", 2)
    return Request(unescaped(method), unescaped(target), unescaped(body[0]) if body else b"")


def unescaped(text: str) -> bytes:
    while "{{" in text:
        text, count = _REPEAT.subn(lambda found: int(found[1]) * found[2], text)
        if not count:
            raise ValueError(f"a {{{{ that is not closed: {text[:60]}")
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")
