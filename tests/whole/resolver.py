"""A name server on loopback that says what a test wants; and the command that makes a process ask it.

Knows A and AAAA questions, and no name but its own.
"""

import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

NAME = "servers.test"
_ADDRESS = ("127.0.53.53", 53)


class Resolver:
    """Answers for NAME with `addresses` (IPv4), all others do not exist. `asked` counts questions for it."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked = 0
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(_ADDRESS)
        self._sock.settimeout(0.2)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join(5)
        self._sock.close()

    def _serve(self) -> None:
        while not self._is_over.is_set():
            try:
                data, peer = self._sock.recvfrom(512)
            except TimeoutError:
                continue
            self._sock.sendto(self._answer(data), peer)

    def _answer(self, data: bytes) -> bytes:
        """RFC 1035, 4.1: the question again, and an address for each that there is."""
        labels, position = [], 12
        while size := data[position]:
            labels.append(data[position + 1 : position + 1 + size].decode())
            position += 1 + size
        question = data[12 : position + 5]
        kind = int.from_bytes(data[position + 1 : position + 3], "big")
        is_ours = ".".join(labels).lower() == NAME
        found = self.addresses if is_ours and kind == 1 else []
        self.asked += is_ours
        flags = 0x8580 if is_ours else 0x8583  # an answer, authoritative; or NXDOMAIN
        head = data[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        # A pointer to the question's name, A, IN, no time to live, four bytes.
        records = [struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(each) for each in found]
        return head + question + b"".join(records)


def asking(folder: Path) -> list[str]:
    """What to put before a command so that it has that resolver, in a mount namespace of its own."""
    (folder / "resolv.conf").write_text(f"nameserver {_ADDRESS[0]}\noptions timeout:1 attempts:2\n")
    script = f'mount --bind {folder / "resolv.conf"} /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def why_not(folder: Path) -> str:
    """Why that cannot be done here; "" where it can."""
    if os.geteuid():
        return "only root may listen on port 53 and mount"
    try:
        done = subprocess.run(
            [*asking(folder), "true"], capture_output=True, text=True, timeout=10, check=False
        )
    except OSError as error:
        return str(error)
    return done.stderr.strip()
