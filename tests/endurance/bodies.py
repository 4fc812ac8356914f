"""Uploads and downloads at a steady rate, all at once, each checked to its last byte. Run as a program."""

import hashlib
import json
import socket
import sys
import threading
import time
from typing import BinaryIO

_PIECE = 64 * 1024
_PATTERN = bytes(range(256)) * 256


def upload(port: int, size: int, rate: float) -> str:
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % size)
        began = time.monotonic()
        for sent in range(0, size, _PIECE):
            sock.sendall(_PATTERN)
            time.sleep(max(began + sent / rate - time.monotonic(), 0))
        with sock.makefile("rb") as answer:
            return _outcome(answer, size)


def download(port: int, size: int, rate: float) -> str:
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(b"GET /down?%d HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n" % size)
        with sock.makefile("rb") as answer:
            while answer.readline(1000).strip():
                pass
            digest, taken, began = hashlib.sha256(), 0, time.monotonic()
            while data := answer.read(_PIECE):
                digest.update(data)
                taken += len(data)
                time.sleep(max(began + taken / rate - time.monotonic(), 0))
    return "ok" if digest.hexdigest() == expected(size) else f"{taken} of {size} bytes"


def expected(size: int) -> str:
    digest = hashlib.sha256()
    for _ in range(size // _PIECE):
        digest.update(_PATTERN)
    return digest.hexdigest()


def _outcome(answer: BinaryIO, size: int) -> str:
    status = answer.readline(1000).decode("latin-1").strip()
    while answer.readline(1000).strip():
        pass
    return "ok" if answer.read(64).decode() == expected(size) else status


def main() -> None:
    """Arguments: port, how many of each, bytes of each, bytes a second."""
    port, count, size, rate = map(int, sys.argv[1:])
    outcomes: list[str] = []

    def run(what: int) -> None:
        try:
            outcomes.append((upload, download)[what % 2](port, size, rate))
        except OSError as error:
            outcomes.append(f"{('upload', 'download')[what % 2]}: {error!r}")

    began = time.monotonic()
    threads = [threading.Thread(target=run, args=(at,)) for at in range(2 * count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"outcomes": outcomes, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
