"""Clients until standard input ends: python load.py URL MOST_SECONDS [CLIENTS]. Prints counts as JSON.

Each request has its own connection, so that one that is refused or cut is seen as what it is.
"""

import json
import socket
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

PAUSE = 0.02
PATIENCE = 100.0


def main(url: str, seconds: str, clients: str = "4") -> None:
    parts = urlsplit(url)
    where = (parts.hostname or "127.0.0.1", parts.port or 80)
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    found: Counter[str] = Counter()
    bodies: set[str] = set()
    longest = [0.0]
    first = threading.Event()
    until = time.monotonic() + float(seconds)
    told = threading.Event()

    def client() -> None:
        while time.monotonic() < until and not told.is_set():
            began = time.monotonic()
            outcome, body = ask(where, request)
            found[outcome] += 1
            if len(bodies) < 50:
                bodies.add(body)
            longest[0] = max(longest[0], time.monotonic() - began)
            first.set()
            time.sleep(PAUSE)

    threads = [threading.Thread(target=client) for _ in range(int(clients))]
    for thread in threads:
        thread.start()
    first.wait(PATIENCE)
    print("first answer", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
    for thread in threads:
        thread.join()
    print(json.dumps({"found": found, "bodies": sorted(bodies), "longest": longest[0]}))


def ask(where: tuple[str, int], request: bytes) -> tuple[str, str]:
    """The status, or the name of what went wrong; and the beginning of the body."""
    try:
        with socket.create_connection(where, PATIENCE) as sock:
            sock.sendall(request)
            answer = b""
            while data := sock.recv(65536):
                answer += data
    except OSError as error:
        return type(error).__name__, ""
    head, _, body = answer.partition(b"\r\n\r\n")
    return (head.split(b" ", 2)[1].decode() if head else "closed"), body[:60].decode("utf-8", "replace")


if __name__ == "__main__":
    main(*sys.argv[1:])
