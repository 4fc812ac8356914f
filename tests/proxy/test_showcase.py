"""What a listener shows while some of its files are broken, and who signs its clients' certificates."""

import errno
import functools
import os
import ssl
from pathlib import Path

import pytest
import trustme

from tests.proxy.fakes_tls import authority
from tests.proxy.test_door import Clock, Meeting, client, put, write
from trivet_common.config.pair import PairError
from trivet_common.config.tls import Pair, Tls
from trivet_proxy import showcase
from trivet_proxy.door import Door
from trivet_proxy.showcase import Showcase
from trivet_proxy.tls_profile import new_context


def spoil(pair: Pair) -> bytes:
    """And what would mend it."""
    good = pair.key.read_bytes()
    put(pair.key, b"spoilt")
    return good


class TestShut:
    """A start while files are broken: as when a master has died."""

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    def test_the_others_are_shown_and_it_comes_up_by_itself(self, tmp_path: Path, clock: Clock) -> None:
        bad, good = write(tmp_path, "a", "a.example"), write(tmp_path, "b", "b.example")
        mended = spoil(bad)
        door = Door(Tls((bad, good)), clock)
        assert Meeting(door, "b.example").names == ["b.example"]
        assert Meeting(door, "a.example").names == ["b.example"]  # by default
        rows = {str(row["certificate"]): row for row in door.status()}
        assert rows[str(good.certificate)]["problem"] is None
        row = rows[str(bad.certificate)]
        assert (row["key"], row["days_left"], row["hosts"]) == (None, None, [])
        assert "holds no private key" in str(row["problem"])
        clock.now += 1.0
        ((is_good, text),) = door.look()
        assert not is_good
        assert text.endswith("; nothing is shown for it until it is mended")
        put(bad.key, mended)
        assert [good for good, _ in door.look()] == [True]
        assert Meeting(door, "a.example").names == ["a.example"]
        assert Meeting(door, "other.example").names == ["a.example"]  # the first of the file is the default
        assert door.look() == []

    def test_alone_it_refuses_and_then_shows(self, tmp_path: Path, clock: Clock) -> None:
        pair = write(tmp_path, "a", "a.example")
        mended = spoil(pair)
        door = Door(Tls((pair,)), clock)
        for name in ("a.example", None):
            with pytest.raises(ssl.SSLError):
                Meeting(door, name)
        put(pair.key, mended)
        door.look()
        assert Meeting(door, "a.example").names == ["a.example"]

    def test_two_kinds_find_each_other_again(self, tmp_path: Path, clock: Clock) -> None:
        rsa, ecdsa = (
            write(tmp_path, kind.name, "a.example", key_type=kind)
            for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA)
        )
        mended = spoil(rsa)
        door = Door(Tls((rsa, ecdsa)), clock)
        put(rsa.key, mended)
        door.look()
        for kind in ("ECDSA", "RSA"):
            context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
            assert Meeting(door, "a.example", context).client.cipher()[0].startswith(f"ECDHE-{kind}")  # type: ignore[index]

    def test_a_change_keeps_what_is_shown_while_its_files_are_broken(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        """A master takes over what its processes have loaded, whatever has happened to the files since."""
        pair = write(tmp_path, "a", "a.example")
        door = Door(Tls((pair,)), clock)
        spoil(pair)
        other = write(tmp_path, "b", "b.example")
        with pytest.raises(PairError):
            door.prepare(Tls((pair, other)))
        door.take(door.prepare_if_possible(Tls((pair, other))))
        assert Meeting(door, "a.example").names == ["a.example"]
        assert Meeting(door, "b.example").names == ["b.example"]
        assert "holds no private key" in str(door.status()[0]["problem"])

    def test_a_passing_reason_is_tried_again(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door = Door(Tls((write(tmp_path, "a", "a.example"),)), clock)
        write(tmp_path, "a", "a.example", "new.example")
        with monkeypatch.context() as patched:
            patched.setattr(os, "memfd_create", _without_descriptors)
            assert door.look() == []
        assert "Too many open files" in str(door.status()[0]["problem"])
        assert door.look() == []  # not at once
        clock.now += 0.5
        assert [good for good, _ in door.look()] == [True]
        assert Meeting(door, "new.example").names == ["a.example", "new.example"]


def _without_descriptors(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


class TestSigners:
    def tls(self, folder: Path, *names: str) -> Tls:
        authority().cert_pem.write_to_path(str(folder / "ca.pem"))
        pairs = tuple(write(folder, name, f"{name}.example") for name in names or ("a",))
        return Tls(pairs, client="required", client_ca=folder / "ca.pem")

    def known(self, ca: trustme.CA) -> ssl.SSLContext:
        context = client()
        ca.issue_cert("someone@example.org").configure_cert(context)
        return context

    def test_a_broken_pair_keeps_nobody_in(self, tmp_path: Path) -> None:
        tls, other = self.tls(tmp_path, "a", "b"), trustme.CA()
        door = Door(tls)
        spoil(tls.pairs[0])
        door.look()
        put(tmp_path / "ca.pem", other.cert_pem.bytes())
        assert [good for good, _ in door.look()] == [True]
        for name in ("a.example", "b.example"):
            with pytest.raises(ssl.SSLError):
                Meeting(door, name, self.known(authority()))
            assert Meeting(door, name, self.known(other)).server.getpeercert(binary_form=True)

    def test_both_broken_at_one_look(self, tmp_path: Path) -> None:
        tls, other = self.tls(tmp_path), trustme.CA()
        door = Door(tls)
        spoil(tls.pairs[0])
        put(tmp_path / "ca.pem", other.cert_pem.bytes())
        door.look()
        with pytest.raises(ssl.SSLError):
            Meeting(door, "a.example", self.known(authority()))

    def test_a_broken_file_of_authorities_keeps_no_certificate_back(self, tmp_path: Path) -> None:
        clock = Clock()
        door = Door(self.tls(tmp_path), clock)
        put(tmp_path / "ca.pem", b"nothing")
        write(tmp_path, "a", "a.example", "new.example")
        assert [good for good, _ in door.look()] == [True]
        assert "ca.pem holds no certificate" in str(door.status()[0]["problem"])
        Meeting(door, "new.example", self.known(authority()))
        with pytest.raises(ssl.SSLError):
            Meeting(door, "new.example")
        clock.now += 1.0
        ((_, text),) = door.look()
        assert text.endswith(
            "ca.pem holds no certificate (-----BEGIN CERTIFICATE-----); the file before it counts"
        )

    def test_without_any_nobody_is_let_in(self, tmp_path: Path) -> None:
        clock, tls = Clock(), self.tls(tmp_path)
        put(tmp_path / "ca.pem", b"nothing")
        door = Door(tls, clock)
        with pytest.raises(ssl.SSLError):
            Meeting(door, "a.example", self.known(authority()))
        clock.now += 1.0
        assert all("holds no certificate" in text for _, text in door.look())
        authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        assert "ca.pem taken up: clients' certificates are judged by it" in door.look()[0][1]
        Meeting(door, "a.example", self.known(authority()))
        assert door.status()[0]["problem"] is None

    def test_all_names_get_other_authorities_or_none_does(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        door = Door(self.tls(tmp_path, "a", "b"), clock)
        put(tmp_path / "ca.pem", trustme.CA().cert_pem.bytes())
        cast = showcase.Shown.cast

        def fails_for_b(self: showcase.Shown, *given: object) -> ssl.SSLContext:
            if "b.example" in self.hosts:
                _without_descriptors()
            return cast(self, *given)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(showcase.Shown, "cast", fails_for_b)
            door.look()
        assert "Too many open files" in str(door.status()[0]["problem"])
        Meeting(door, "a.example", self.known(authority()))
        clock.now += 0.5
        door.look()
        for name in ("a.example", "b.example"):
            with pytest.raises(ssl.SSLError):
                Meeting(door, name, self.known(authority()))


def test_all_or_nothing(tmp_path: Path) -> None:
    make = functools.partial(new_context, "intermediate", "off")
    good, bad = write(tmp_path, "a", "a.example"), write(tmp_path, "b", "b.example")
    assert repr(Showcase.filled(Tls((good, bad)), make)).count("shown, good") == 2
    spoil(bad)
    with pytest.raises(PairError):
        Showcase.filled(Tls((good, bad)), make)
