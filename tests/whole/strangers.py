"""Servers that are not ours, as a test starts and ends them."""

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tests.whole.running import wait_until
from tests.whole.talking import Talk


def free_port() -> int:
    """For a server that cannot say which port it was given."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def stranger(command: Sequence[str], folder: Path, address: tuple[str, int] | str) -> Iterator[None]:
    """The server while it is asked; it has started when it listens on `address`."""
    out = folder / f"{Path(command[0]).name}.out"
    with out.open("ab") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(address) or process.poll() is not None, 15, str(command))
        assert process.poll() is None, out.read_text()
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def module(name: str, *arguments: str) -> list[str]:
    """A server of the environment the tests run in."""
    return [sys.executable, "-m", name, *arguments]


def is_listening(address: tuple[str, int] | str) -> bool:
    try:
        Talk(address, 1).close()
    except OSError:
        return False
    return True


def try_flask_site(url: str) -> None:
    """What everyone does with the Flask example: pages, an upload of 10 MiB and back, events."""
    with urllib.request.urlopen(f"{url}/", timeout=10) as page:
        assert b"It runs." in page.read()
    sent = bytes(range(256)) * 40960
    request = urllib.request.Request(f"{url}/files/ten.bin", sent, method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201
        assert sha256(sent).hexdigest() in answer.read().decode()
    with urllib.request.urlopen(f"{url}/files/{sha256(sent).hexdigest()}", timeout=30) as back:
        assert back.headers["Content-Length"] == str(len(sent))
        assert back.read() == sent
    with urllib.request.urlopen(f"{url}/events/stream?count=3&every=0.01", timeout=10) as events:
        assert events.read().count(b"data: ") == 4
