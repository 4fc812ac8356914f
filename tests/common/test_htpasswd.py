"""What a line of an htpasswd file is worth, and what is said about one that is worth nothing."""

import pytest

from trivet_common.config.htpasswd import ARGON2, BCRYPT, parse_htpasswd

GOOD = "$2y$10$" + "a" * 53
ARGON = "$argon2id$v=19$m=65536,t=3,p=4$KneZDmQyq//yG4RAqXYAYw$1EQNSB3ubH33Wt/YD5aLfYEmZ7btSWVuFRWovysKIG4"


@pytest.mark.parametrize(
    ("line", "user", "kind"),
    [
        (f"ann:{GOOD}", "ann", BCRYPT),
        (f"  ann:{GOOD}\r", "ann", BCRYPT),
        (f"ann:{GOOD}:a comment", "ann", BCRYPT),
        (f"zoë:{GOOD.replace('2y', '2b')}", "zoë", BCRYPT),
        (f"ann:{ARGON}", "ann", ARGON2),
        (f"ann:{ARGON.replace('2id', '2i')}", "ann", ARGON2),
    ],
)
def test_lines_that_let_somebody_in(line: str, user: str, kind: str) -> None:
    entries, flaws = parse_htpasswd(f"# staff\n\n{line}\n".encode(), can_argon2=True)
    assert flaws == []
    assert {name.decode(): entry.kind for name, entry in entries.items()} == {user: kind}


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "hashed by SHA-1", "htpasswd -B FILE ann"),
        ("ann:$apr1$x$y", "hashed by MD5", "htpasswd -B FILE ann"),
        ("ann:$1$x$y", "hashed by MD5", "htpasswd -B FILE ann"),
        ("ann:$5$x$y", "SHA-256 crypt", "htpasswd -B FILE ann"),
        ("ann:$6$x$y", "SHA-512 crypt", "htpasswd -B FILE ann"),
        ("ann:{PLAIN}secret", "nothing at all", "htpasswd -B FILE ann"),
        ("ann:secret", "neither by bcrypt nor by argon2", "htpasswd -B FILE ann"),
        ("ann:", "neither by bcrypt nor by argon2", "htpasswd -B FILE ann"),
        ("ann:rl3uC6ov4Lc5w", "neither by bcrypt nor by argon2", "htpasswd -B FILE ann"),
        (f"ann:{GOOD[:-1]}", "neither by bcrypt nor by argon2", "htpasswd -B FILE ann"),
        (f"ann:{GOOD.replace('$10$', '$31$')}", "31 is no cost", "-C 12"),
        (f"ann:{GOOD.replace('$10$', '$03$')}", "3 is no cost", "-C 12"),
        (f":{GOOD}", "no line of an htpasswd file", "name:hash"),
        ("ann", "no line of an htpasswd file", "name:hash"),
        (f"ann :{GOOD}", "no line of an htpasswd file", "name:hash"),
        (f"a\x07n:{GOOD}", "no line of an htpasswd file", "name:hash"),
        (f"{'a' * 256}:{GOOD}", "no line of an htpasswd file", "name:hash"),
        ("ann:$argon2id$v=19$m=65536$x$y", "malformed", "anew"),
        (f"ann:{ARGON.replace('65536', '9999999')}", "asks too much", "m=262144"),
        (f"ann:{ARGON.replace('t=3', 't=300')}", "asks too much", "t=16"),
    ],
)
def test_lines_that_let_nobody_in(line: str, message: str, hint: str) -> None:
    entries, (flaw,) = parse_htpasswd(f"bob:{GOOD}\n{line}\n".encode("utf-8", "surrogateescape"))
    assert list(entries) == [b"bob"]
    assert flaw.line == 2
    assert message in flaw.message
    assert hint in flaw.hint
    assert "secret" not in flaw.message + flaw.hint, "what stands there may be a password"


def test_argon2_where_it_is_not_installed() -> None:
    entries, (flaw,) = parse_htpasswd(f"ann:{ARGON}".encode(), can_argon2=False)
    assert entries == {}
    assert flaw.hint == "pip install argon2-cffi"


def test_the_first_line_of_a_name_holds() -> None:
    other = GOOD.replace("aaa", "bbb")
    entries, _ = parse_htpasswd(f"ann:{GOOD}\nann:{other}\n".encode())
    assert entries[b"ann"].hash == GOOD.encode()
