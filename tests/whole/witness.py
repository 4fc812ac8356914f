"""An application that writes down exactly what it ran, and the reading of what it wrote.

Knows no proxy: whatever reached the application, by whatever way, is a line of the file.
"""

import json
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

# One write a line on O_APPEND: lines of many processes never mix.
APPLICATION = """
import hashlib, json, os
runs = os.open(os.path.join(os.path.dirname(__file__), "runs.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    fields = {k: v for k, v in environ.items() if k.startswith("HTTP_") or k.startswith("CONTENT_")}
    run = {
        "client": environ["REMOTE_ADDR"], "method": environ["REQUEST_METHOD"], "target": environ["RAW_URI"],
        "body": hashlib.sha256(body).hexdigest(), "size": len(body), "fields": fields,
    }
    os.write(runs, json.dumps(run).encode() + b"\\n")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([run["method"], run["target"], run["body"]]).encode()]
"""


class Ran(NamedTuple):
    """A request as the application saw it; `body` is its SHA-256 in hexadecimal digits."""

    method: bytes
    target: bytes
    body: str


class Run(NamedTuple):
    client: str
    ran: Ran
    fields: dict[str, str]


def ran(method: bytes, target: bytes, body: bytes) -> Ran:
    return Ran(method, target, sha256(body).hexdigest())


class Witness:
    """Reads the file as it grows."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "runs.txt"
        self._read = 0

    def new_runs(self) -> list[Run]:
        """What was run since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._read += len(data)
        return [_run(json.loads(line)) for line in data.splitlines()]

    def new_by_client(self) -> dict[str, list[Run]]:
        """The same, by the address a request came from."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.new_runs():
            found[run.client].append(run)
        return found


def _run(line: dict[str, object]) -> Run:
    fields = line["fields"]
    assert isinstance(fields, dict)
    method, target = str(line["method"]).encode("latin-1"), str(line["target"]).encode("latin-1")
    return Run(str(line["client"]), Ran(method, target, str(line["body"])), fields)


def answer_of(one: Ran) -> bytes:
    """What the application says when it ran this."""
    return json.dumps([one.method.decode("latin-1"), one.target.decode("latin-1"), one.body]).encode()
