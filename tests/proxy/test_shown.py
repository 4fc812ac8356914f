"""What is made of the files of one set of names, and that nothing wrong with them gets any further."""

import errno
import functools
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.proxy.test_door import put, write
from trivet_common.config.pair import PairError
from trivet_common.config.tls import Pair
from trivet_proxy.shown import Shown, sentence, with_authorities
from trivet_proxy.tls_profile import new_context

MAKE = functools.partial(new_context, "intermediate", "off")


def taken(*pairs: Pair) -> Shown:
    one = Shown(pairs)
    assert one.take(one.attempt(MAKE, one.vigil.glance()), 0.0)
    return one


def test_it_shows_what_it_was_given(tmp_path: Path) -> None:
    pair = write(tmp_path, "a", "a.example", "b.example")
    one = taken(pair)
    assert one.hosts == ("a.example", "b.example")
    assert one.good_news().startswith(f"{pair.certificate} taken up, good until ")
    assert taken(Pair(pair.certificate, pair.key, ("c.example",))).hosts == ("c.example",)
    assert repr(Shown((pair,))) == f"<Shown {pair.certificate} shut, good>"


def no_descriptors() -> ssl.SSLContext:
    raise OSError(errno.EMFILE, "Too many open files")


def something_else() -> ssl.SSLContext:
    raise LookupError("nobody foresaw this")


@pytest.mark.parametrize(
    ("make", "words"),
    [(no_descriptors, "a.pem: Too many open files"), (something_else, "LookupError: nobody foresaw this")],
)
def test_any_failure_is_a_problem_and_what_was_shown_stays(tmp_path: Path, make: object, words: str) -> None:
    one = taken(write(tmp_path, "a", "a.example"))
    before = one.context
    write(tmp_path, "a", "a.example")
    assert not one.take(one.attempt(make, one.vigil.glance()), 5.0)  # type: ignore[arg-type]
    assert words in str(one.vigil.problem)
    assert one.context is before
    assert str(one.try_complaint(6.0)).endswith("; the certificate before it stays")
    assert one.vigil.is_due(one.vigil.glance(), 6.0)  # the files are as they were


@pytest.mark.parametrize("broken", [0, 1])
def test_of_two_side_by_side_a_broken_one_does_not_hold_back_the_other(tmp_path: Path, broken: int) -> None:
    kinds = {"rsa": trustme.KeyType.RSA, "ecdsa": trustme.KeyType.ECDSA}
    pairs = tuple(write(tmp_path, name, "a.example", key_type=kind) for name, kind in kinds.items())
    one = taken(*pairs)
    before, whole = one.materials, one.context
    for name, kind in kinds.items():
        write(tmp_path, name, "a.example", key_type=kind)
    good = pairs[broken].key.read_bytes()
    put(pairs[broken].key, b"spoilt")
    assert one.take(one.attempt(MAKE, one.vigil.glance()), 5.0)
    assert one.context is not whole
    assert [now == then for now, then in zip(one.materials, before, strict=True)] == [
        broken == 0,
        broken == 1,
    ]
    assert one.good_news().startswith(f"{pairs[1 - broken].certificate} taken up")
    assert "holds no private key" in str(one.try_complaint(6.5))
    again = one.attempt(MAKE, one.vigil.glance())
    assert not one.take(again, 7.0), "it is said once"
    assert again.context is None
    put(pairs[broken].key, good)
    assert one.take(one.attempt(MAKE, one.vigil.glance()), 8.0)
    assert one.vigil.problem is None
    assert one.good_news().startswith(f"{pairs[broken].certificate} taken up")


def test_one_that_was_never_shown_is_shut(tmp_path: Path) -> None:
    pair = write(tmp_path, "a", "a.example")
    put(pair.key, b"")
    one = Shown((pair,))
    assert not one.take(one.attempt(MAKE, one.vigil.glance()), 5.0)
    assert one.context is None
    assert str(one.try_complaint(6.0)).endswith("; nothing is shown for it until it is mended")


def test_one_that_is_not_yet_valid_is_taken_when_it_is(tmp_path: Path) -> None:
    one = taken(write(tmp_path, "a", "a.example"))
    now = datetime.now(UTC)
    write(tmp_path, "a", "a.example", not_before=now + timedelta(days=1), not_after=now + timedelta(days=9))
    assert "not valid before" in str(one.attempt(MAKE, one.vigil.glance()).problem)


def test_authorities_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        with_authorities(MAKE, b"nothing")()
    assert with_authorities(MAKE, None) is MAKE


def test_words() -> None:
    assert sentence(PairError("a sentence")) == "a sentence"
    assert sentence(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert sentence(LookupError("x")) == "LookupError: x"
