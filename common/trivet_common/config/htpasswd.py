"""htpasswd files: users and their hashed passwords, and what is wrong with a line.

Pure: knows how hashes are written, not how they are checked. No message holds a hash or a password.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

from .problems import shown

LARGEST = 1024 * 1024  # bytes of a file
# Whoever writes a file decides what one attempt to log in costs: about 2 s, and 256 MiB.
_MOST_ROUNDS = 15
_MOST_KIB, _MOST_PASSES, _MOST_LANES = 256 * 1024, 16, 16

_BCRYPT = re.compile(rb"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}\Z")
_ARGON2 = re.compile(
    rb"\$argon2(?:id|i|d)\$v=[0-9]{1,3}\$m=([0-9]{1,9}),t=([0-9]{1,9}),p=([0-9]{1,9})"
    rb"\$[A-Za-z0-9+/]{8,128}\$[A-Za-z0-9+/]{16,256}\Z"
)
_OLD = {
    b"{SHA}": "SHA-1, which is no protection",
    b"{SSHA}": "SHA-1, which is no protection",
    b"$apr1$": "MD5, which is no protection",
    b"$1$": "MD5, which is no protection",
    b"$5$": "SHA-256 crypt, which is not taken",
    b"$6$": "SHA-512 crypt, which is not taken",
    b"$y$": "yescrypt, which is not taken",
    b"{PLAIN}": "nothing at all",
}
ARGON2, BCRYPT = "argon2", "bcrypt"


class Entry(NamedTuple):
    """One user who can log in. `kind`: ARGON2 or BCRYPT."""

    hash: bytes
    kind: str


class Flaw(NamedTuple):
    """A line whose user cannot log in."""

    line: int
    message: str
    hint: str


@cache
def has_argon2() -> bool:
    """Whether argon2-cffi is installed: an extra, because it brings more along than bcrypt."""
    return find_spec("argon2") is not None


def parse_htpasswd(data: bytes, can_argon2: bool | None = None) -> tuple[dict[bytes, Entry], list[Flaw]]:
    """Users by name, the first line of each; and the lines that are no use, in order.

    `can_argon2`: whether such hashes can be checked here; None: look.
    """
    can_argon2 = has_argon2() if can_argon2 is None else can_argon2
    entries: dict[bytes, Entry] = {}
    flaws: list[Flaw] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.strip(b"\r\t ")
        if not line or line.startswith(b"#"):
            continue
        user, colon, rest = line.partition(b":")
        found = rest.partition(b":")[0]
        flaw = next(_flaws_of(user, colon, found, can_argon2), None)
        if flaw is not None:
            flaws.append(Flaw(number, *flaw))
        else:
            entries.setdefault(user, Entry(found, BCRYPT if found.startswith(b"$2") else ARGON2))
    return entries, flaws


def _flaws_of(user: bytes, colon: bytes, found: bytes, can_argon2: bool) -> Iterator[tuple[str, str]]:
    name = shown(user.decode("utf-8", "replace")) if colon else ""
    anew = f"htpasswd -B FILE {name}"
    is_plain = user == user.strip() and not any(byte < 0x20 or byte == 0x7F for byte in user)
    if (
        not colon or not user or len(user) > 255 or not is_plain
    ):  # headers lose outer spaces: two would be one
        yield "this is no line of an htpasswd file", "write name:hash, by htpasswd -B FILE name"
    elif old := next((what for mark, what in _OLD.items() if found.startswith(mark)), None):
        yield f"the password of {name} is hashed by {old}", anew
    elif found.startswith(b"$argon2"):
        yield from _flaws_of_argon2(name, found, can_argon2)
    elif not (rounds := _BCRYPT.match(found)):
        yield f"the password of {name} is hashed neither by bcrypt nor by argon2", anew
    elif not 4 <= int(rounds[1]) <= _MOST_ROUNDS:
        yield (
            f"{int(rounds[1])} is no cost for the password of {name}: above {_MOST_ROUNDS}, each attempt "
            "takes seconds",
            f"htpasswd -B -C 12 FILE {name}",
        )


def _flaws_of_argon2(name: str, found: bytes, can_argon2: bool) -> Iterator[tuple[str, str]]:
    terms = _ARGON2.match(found)
    if not terms:
        yield f"the argon2 hash of {name} is malformed", "make it anew"
    elif int(terms[1]) > _MOST_KIB or int(terms[2]) > _MOST_PASSES or int(terms[3]) > _MOST_LANES:
        yield (
            f"the argon2 hash of {name} asks too much of each attempt",
            f"make it anew with at most m={_MOST_KIB}, t={_MOST_PASSES}, p={_MOST_LANES}",
        )
    elif not can_argon2:
        yield (
            f"the password of {name} is hashed by argon2, which is not installed here",
            "pip install argon2-cffi",
        )
