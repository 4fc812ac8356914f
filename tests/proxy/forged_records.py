"""A TLS client that sends what no library would: records of its own, sealed with the keys of its handshake.

RFC 8446, 5.2 and 7 for TLS 1.3; RFC 5246, 6.3 and RFC 5288 for 1.2 (AES-128-GCM, SHA-256 in both).
"""

import hashlib
import hmac
import socket
import ssl
import struct
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HANDSHAKE, DATA = 22, 23
KEY_UPDATE = b"\x18\0\0\1\0"
KEY_UPDATE_REQUESTED = b"\x18\0\0\1\1"
# The least that OpenSSL takes for a second hello.
RENEGOTIATION = b"\x01\0\0\x29\x03\x03" + bytes(33) + b"\0\x02\xc0\x2b\x01\0"


class Forger:
    """After its handshake over `sock`, a blocking one; `seal` gives records to be sent as they are."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str, version: str) -> None:
        self.is_new = version == "1.3"
        self.sock = sock
        self._number = 0
        heard, self.said = ssl.MemoryBIO(), ssl.MemoryBIO()
        with tempfile.NamedTemporaryFile() as log:
            context.keylog_filename = log.name
            client = context.wrap_bio(heard, self.said, server_hostname=name)
            self._seen = self._hello = b""
            self._shake(client, heard)
            lines = [line.split() for line in Path(log.name).read_text().splitlines() if line[0] != "#"]
            secrets = {label: bytes.fromhex(secret) for label, _, secret in lines}
        self.client = client
        if self.is_new:
            self._hash = hashlib.sha384 if "384" in client.cipher()[0] else hashlib.sha256  # type: ignore[index]
            self._key_size = 32 if "256_GCM" in client.cipher()[0] else 16  # type: ignore[index]
            self._use(secrets["CLIENT_TRAFFIC_SECRET_0"])
        else:
            self._derive(secrets["CLIENT_RANDOM"])
            self._number = 1  # its Finished was the first

    def key_updates(self, count: int, message: bytes = KEY_UPDATE) -> bytes:
        """So many records, each with the keys that the one before it announces."""
        records = []
        for _ in range(count):
            records.append(self.seal(HANDSHAKE, message))
            self._use(self._expand(self._secret, b"traffic upd", self._hash().digest_size))
        return b"".join(records)

    def seal(self, kind: int, content: bytes) -> bytes:
        number = struct.pack("!Q", self._number)
        self._number += 1
        if self.is_new:
            head = struct.pack("!BHH", DATA, 0x0303, len(content) + 17)
            nonce = bytes(a ^ b for a, b in zip(self._iv, b"\0\0\0\0" + number, strict=True))
            return head + self._cipher.encrypt(nonce, content + bytes([kind]), head)
        told = struct.pack("!BHH", kind, 0x0303, len(content))
        sealed = self._cipher.encrypt(self._iv + number, content, number + told)
        return struct.pack("!BHH", kind, 0x0303, len(sealed) + 8) + number + sealed

    def _shake(self, client: ssl.SSLObject, heard: ssl.MemoryBIO) -> None:
        is_over = False
        while not is_over:
            try:
                client.do_handshake()
                is_over = True
            except ssl.SSLWantReadError:
                pass
            said = self.said.read()
            self._hello = self._hello or said
            self.sock.sendall(said)
            if not is_over:
                data = self.sock.recv(65536)
                self._seen += data
                heard.write(data)

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._cipher = AESGCM(self._expand(secret, b"key", self._key_size))
        self._iv = self._expand(secret, b"iv", 12)

    def _expand(self, secret: bytes, label: bytes, size: int) -> bytes:
        label = b"tls13 " + label
        info = struct.pack("!HB", size, len(label)) + label + b"\0\x01"
        return hmac.new(secret, info, self._hash).digest()[:size]

    def _derive(self, master: bytes) -> None:
        """TLS 1.2; each hello has its random after a record's and a message's head and the version."""
        seed = b"key expansion" + self._seen[11:43] + self._hello[11:43]
        block, a = b"", seed
        while len(block) < 40:
            a = hmac.new(master, a, hashlib.sha256).digest()
            block += hmac.new(master, a + seed, hashlib.sha256).digest()
        self._cipher, self._iv = AESGCM(block[:16]), block[32:36]
