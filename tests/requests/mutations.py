"""Spoils requests by the hundred thousand: from a seed, without hypothesis, a few microseconds each.

What it writes is mostly nearly right, because only that gets past the first byte. Knows no parser, no socket.
"""

import random
from itertools import pairwise

from tests.requests import pieces
from tests.requests.corpus import Entry, accepted, refused

_LONGEST = 2000
# A good request with nothing special, so that more than one in a connection is run now and then.
_GOOD = [
    b"GET /good?a=b HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n",
    b"POST /good HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT /good HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
]


class Mutator:
    """The same seed writes the same inputs."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(str(seed))
        self._good = [entry for entry in accepted() if len(entry.data) < _LONGEST]
        self._bad = [entry for entry in refused() if len(entry.data) < _LONGEST]
        self._chunked = [
            entry for entry in self._good + self._bad if b"\nTransfer-Encoding: chunked\r\n\r\n" in entry.data
        ]

    def input(self) -> bytes:
        """One request, or what was one."""
        chance = self._random.random()
        if chance < 0.25:
            return self._flipped(self._entry().data)
        if chance < 0.5:
            return self._rearranged(self._entry().data)
        if chance < 0.65:
            return self._edited(self._entry().data)
        if chance < 0.85:
            head, end, body = self._random.choice(self._chunked).data.partition(b"\r\n\r\n")
            return head + end + (self._flipped(body) if chance < 0.75 else self._edited(body))
        return self._written()

    def connection(self, most: int = 4) -> bytes:
        """Some of them in a row, good ones among them: what one client sends."""
        count = self._random.randint(1, most)
        return b"".join(
            self._random.choice(_GOOD) if self._random.random() < 0.4 else self.input() for _ in range(count)
        )

    def cut(self, data: bytes, most: int = 5) -> list[bytes]:
        """The same bytes in up to `most` segments, none of them empty."""
        cuts = sorted({0, len(data), *(self._random.randint(0, len(data)) for _ in range(most - 1))})
        return [data[start:end] for start, end in pairwise(cuts)]

    def _entry(self) -> Entry:
        return self._random.choice(self._good if self._random.random() < 0.7 else self._bad)

    def _flipped(self, data: bytes) -> bytes:
        """One to three bytes are others."""
        spoilt = bytearray(data)
        for _ in range(self._random.randint(1, 3) if spoilt else 0):
            at = self._random.randrange(len(spoilt))
            spoilt[at] ^= (
                1 << self._random.randrange(8) if self._random.random() < 0.7 else self._random.randrange(256)
            )
        return bytes(spoilt)

    def _edited(self, data: bytes) -> bytes:
        """Bytes are cut out, doubled or put in."""
        spoilt = bytearray(data)
        for _ in range(self._random.randint(1, 4)):
            at = self._random.randint(0, len(spoilt))
            end = min(len(spoilt), at + self._random.randint(0, 12))
            spoilt[at:end] = self._random.choice([*pieces.INSERTED, bytes(spoilt[at:end]) * 2])
        return bytes(spoilt)

    def _rearranged(self, data: bytes) -> bytes:
        """Whole fields come, go, change places, names or values; the line ends stay right."""
        head, end, body = data.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        for _ in range(self._random.randint(1, 3)):
            self._rearrange(fields)
        return b"\r\n".join([line, *fields]) + end + body

    def _rearrange(self, fields: list[bytes]) -> None:
        choose = self._random.choice
        at = self._random.randrange(len(fields)) if fields else 0
        how = self._random.randrange(6)
        if how == 0 or not fields:
            fields.insert(at, choose(pieces.NAMES) + choose(pieces.COLONS) + choose(pieces.VALUES))
        elif how == 1:
            fields.insert(self._random.randint(0, len(fields)), fields[at])
        elif how == 2:
            fields.append(fields.pop(at))
        elif how == 3:
            del fields[at]
        else:
            name, colon, value = fields[at].partition(b":")
            fields[at] = (
                name.swapcase() + colon + value
                if how == 4
                else name + colon + choose(pieces.SPACES) + choose(pieces.VALUES)
            )

    def _written(self) -> bytes:
        """Anew, out of pieces."""
        choose, chance = self._random.choice, self._random.random
        target = choose(pieces.TARGETS) if chance() < 0.7 else b"/" + self._random.randbytes(4)
        parts = [
            choose(pieces.METHODS),
            choose(pieces.SPACES),
            target,
            choose(pieces.SPACES),
            choose(pieces.VERSIONS),
        ]
        parts.append(choose(pieces.LINE_ENDS))
        if chance() < 0.85:
            parts.append(b"Host: a.example\r\n")
        for _ in range(self._random.randint(0, 3)):
            name = choose(pieces.NAMES) if chance() < 0.8 else self._random.randbytes(3)
            value = choose(pieces.VALUES) if chance() < 0.8 else self._random.randbytes(4)
            parts += [name, choose(pieces.COLONS), value, choose(pieces.LINE_ENDS)]
        parts.append(choose(pieces.LINE_ENDS))
        parts += [choose(pieces.CHUNKS) for _ in range(self._random.randint(0, 2))]
        return b"".join(parts)
