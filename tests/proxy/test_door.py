"""Which certificate a client is shown, which sessions go on, and what happens when files change."""

import os
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from tests.proxy.fakes_tls import authority
from trivet_common.config.pair import PairError
from trivet_common.config.tls import Pair, Tls
from trivet_proxy import tls_groups
from trivet_proxy.door import Door


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def write(folder: Path, name: str, *hosts: str, **how: object) -> Pair:
    """A new pair in the files of that name, each replaced as a whole."""
    leaf = authority().issue_cert(*hosts, **how)  # type: ignore[arg-type]
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    put(pair.certificate, b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    put(pair.key, leaf.private_key_pem.bytes())
    return pair


def put(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.chmod(0o600)
    os.rename(fresh, path)


def other_key() -> bytes:
    return authority().issue_cert("x.example").private_key_pem.bytes()


def client(**how: object) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.check_hostname = False
    for name, value in how.items():
        setattr(context, name, value)
    return context


class Meeting:
    """A client at the door, over memory: what it negotiated and was shown."""

    def __init__(
        self,
        door: Door,
        name: str | None,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or client()
        if name is None:
            context.check_hostname = False
        self.server = door._open.wrap_bio(there, back, server_side=True)
        self.client = context.wrap_bio(back, there, server_hostname=name, session=session)
        for _ in range(6):
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        self.server.write(b"x")  # the tickets come with it
        self.client.read(1)

    @property
    def names(self) -> list[str]:
        der = self.client.getpeercert(binary_form=True)
        assert der is not None
        extension = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return extension.value.get_values_for_type(x509.DNSName)

    @property
    def serial(self) -> str:
        return str(self.client.getpeercert()["serialNumber"])  # type: ignore[index]


class TestNames:
    @pytest.fixture
    def door(self, tmp_path: Path) -> Door:
        pairs = (
            write(tmp_path, "first", "first.example"),
            write(tmp_path, "wild", "*.wild.example", "Exact.example"),
            write(tmp_path, "inner", "inner.wild.example"),
        )
        return Door(Tls(pairs))

    @pytest.mark.parametrize(
        ("asked", "shown"),
        [
            ("first.example", "first.example"),
            ("exact.example", "*.wild.example"),
            ("EXACT.example", "*.wild.example"),
            ("some.wild.example", "*.wild.example"),
            ("inner.wild.example", "inner.wild.example"),
            ("wild.example", "first.example"),
            ("other.example", "first.example"),
            (None, "first.example"),
        ],
    )
    def test_a_name_chooses(self, door: Door, asked: str | None, shown: str) -> None:
        assert Meeting(door, asked).names[0] == shown

    def test_hosts_stand_above_what_the_certificate_says(self, tmp_path: Path) -> None:
        one, other = write(tmp_path, "one", "one.example"), write(tmp_path, "other", "other.example")
        door = Door(Tls((Pair(one.certificate, one.key, ("a.example",)), other)))
        assert Meeting(door, "a.example").names == ["one.example"]
        assert Meeting(door, "one.example").names == ["one.example"]  # as the default

    @pytest.mark.parametrize("asked", ["other.example", None])
    def test_strict_refuses_unknown_names(self, tmp_path: Path, asked: str | None) -> None:
        door = Door(Tls((write(tmp_path, "one", "one.example"),), strict=True))
        assert Meeting(door, "one.example").names == ["one.example"]
        with pytest.raises(ssl.SSLError):
            Meeting(door, asked)


class TestKinds:
    def test_two_kinds_of_key_for_one_name(self, tmp_path: Path) -> None:
        pairs = tuple(
            write(tmp_path, kind.name, "a.example", key_type=kind)
            for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA)
        )
        door = Door(Tls(pairs))
        for kind in ("ECDSA", "RSA"):
            context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
            assert Meeting(door, "a.example", context).client.cipher()[0].startswith(f"ECDHE-{kind}")  # type: ignore[index]
        assert [row["key"] for row in door.status()] == ["RSA", "ECDSA"]

    def test_versions_and_protocols(self, tmp_path: Path) -> None:
        pair = write(tmp_path, "a", "a.example")
        both, modern = Door(Tls((pair,))), Door(Tls((pair,), profile="modern"))
        old = client(maximum_version=ssl.TLSVersion.TLSv1_2)
        assert Meeting(both, "a.example", old).client.version() == "TLSv1.2"
        new = client()
        new.set_alpn_protocols(["h2", "http/1.1"])
        meeting = Meeting(modern, "a.example", new)
        assert (meeting.client.version(), meeting.client.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
        other = client()
        other.set_alpn_protocols(["h2"])
        assert Meeting(both, "a.example", other).client.selected_alpn_protocol() is None
        with pytest.raises(ssl.SSLError):
            Meeting(modern, "a.example", client(maximum_version=ssl.TLSVersion.TLSv1_2))

    def test_a_weak_suite_or_group_is_not_there(self, tmp_path: Path) -> None:
        tls_groups.limit_groups()
        door = Door(Tls((write(tmp_path, "a", "a.example"),)))
        for curve in ("secp521r1", "X448"):
            context = client()
            context.set_ecdh_curve(curve)
            with pytest.raises(ssl.SSLError):
                Meeting(door, "a.example", context)
        for suite in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"):
            context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(suite)
            with pytest.raises(ssl.SSLError):
                Meeting(door, "a.example", context)


class TestSessions:
    def resumed(self, before: Door, after: Door, version: ssl.TLSVersion, name: str = "a.example") -> bool:
        context = client(maximum_version=version)
        first = Meeting(before, "a.example", context)
        return bool(Meeting(after, name, context, first.client.session).client.session_reused)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_a_session_goes_on_also_after_a_new_certificate(
        self, tmp_path: Path, version: ssl.TLSVersion
    ) -> None:
        door = Door(Tls((write(tmp_path, "a", "a.example"),)))
        assert self.resumed(door, door, version)
        context = client(maximum_version=version)
        first = Meeting(door, "a.example", context)
        write(tmp_path, "a", "a.example")
        assert [good for good, _ in door.look()] == [True]
        assert Meeting(door, "a.example", context, first.client.session).client.session_reused

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_not_at_another_door(self, tmp_path: Path, version: ssl.TLSVersion) -> None:
        """Who must show a certificate is one rule for all names of a door, and no session opens another's."""
        tls = Tls((write(tmp_path, "a", "a.example"),))
        assert not self.resumed(Door(tls), Door(tls), version)

    def test_a_session_does_not_open_a_strict_door_under_an_unknown_name(self, tmp_path: Path) -> None:
        door = Door(Tls((write(tmp_path, "a", "a.example"),), strict=True))
        assert self.resumed(door, door, ssl.TLSVersion.TLSv1_3)
        with pytest.raises(ssl.SSLError):
            self.resumed(door, door, ssl.TLSVersion.TLSv1_3, "b.example")

    def test_not_after_the_day_is_over(self, tmp_path: Path) -> None:
        clock = Clock()
        door = Door(Tls((write(tmp_path, "a", "a.example"),)), clock)
        context = client()
        first = Meeting(door, "a.example", context)
        clock.now += 24 * 3600
        door.look()
        second = Meeting(door, "a.example", context, first.client.session)
        assert not second.client.session_reused
        assert Meeting(door, "a.example", context, second.client.session).client.session_reused


class TestClients:
    def shown(self, name: str = "someone") -> ssl.SSLContext:
        context = client()
        authority().issue_cert(f"{name}@example.org", common_name=name).configure_cert(context)
        return context

    def tls(self, folder: Path, client: str) -> Tls:
        authority().cert_pem.write_to_path(str(folder / "ca.pem"))
        return Tls((write(folder, "a", "a.example"),), client=client, client_ca=folder / "ca.pem")

    def test_required(self, tmp_path: Path) -> None:
        door = Door(self.tls(tmp_path, "required"))
        assert Meeting(door, "a.example", self.shown()).server.getpeercert()
        with pytest.raises(ssl.SSLError):
            Meeting(door, "a.example")

    def test_optional(self, tmp_path: Path) -> None:
        door = Door(self.tls(tmp_path, "optional"))
        assert Meeting(door, "a.example", self.shown()).server.getpeercert()
        assert not Meeting(door, "a.example").server.getpeercert()
        stranger = client()
        trustme.CA().issue_cert("x@example.org").configure_cert(stranger)
        with pytest.raises(ssl.SSLError):
            Meeting(door, "a.example", stranger)

    def test_other_authorities_are_obeyed_at_once_and_end_the_sessions(self, tmp_path: Path) -> None:
        door = Door(self.tls(tmp_path, "required"))
        context = self.shown()
        first = Meeting(door, "a.example", context)
        put(tmp_path / "ca.pem", trustme.CA().cert_pem.bytes())
        assert [good for good, _ in door.look()] == [True]
        with pytest.raises(ssl.SSLError):
            Meeting(door, "a.example", context, first.client.session)


class TestFiles:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def pair(self, tmp_path: Path) -> Pair:
        return write(tmp_path, "a", "a.example")

    @pytest.fixture
    def door(self, pair: Pair, clock: Clock) -> Door:
        return Door(Tls((pair,)), clock)

    def test_a_new_pair_is_taken_up(self, door: Door, pair: Pair, tmp_path: Path) -> None:
        before = Meeting(door, "a.example").serial
        assert door.look() == []
        write(tmp_path, "a", "a.example", "b.example")
        ((is_good, text),) = door.look()
        assert is_good
        assert text.startswith(f"{pair.certificate} taken up, good until ")
        assert Meeting(door, "a.example").serial != before
        assert Meeting(door, "b.example").names == ["a.example", "b.example"]
        assert door.look() == []

    def test_the_moment_between_two_files_is_no_news(self, door: Door, pair: Pair, clock: Clock) -> None:
        leaf = authority().issue_cert("a.example")
        put(pair.certificate, leaf.cert_chain_pems[0].bytes())
        assert door.look() == []
        clock.now += 0.5
        assert door.look() == []
        put(pair.key, leaf.private_key_pem.bytes())
        assert [good for good, _ in door.look()] == [True]
        clock.now += 5
        assert door.look() == []

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (lambda pair: put(pair.certificate, b"nothing"), "holds no certificate"),
            (lambda pair: put(pair.key, b"nothing"), "holds no private key"),
            (
                lambda pair: put(pair.key, authority().issue_cert("x").private_key_pem.bytes()),
                "does not belong",
            ),
            (lambda pair: pair.key.unlink(), "No such file"),
            (
                lambda pair: write(
                    pair.key.parent, "a", "a.example", not_after=datetime.now(UTC) - timedelta(days=2)
                ),
                "it expired on",
            ),
        ],
    )
    def test_a_broken_pair_leaves_the_old_one_and_is_told_once(
        self, door: Door, pair: Pair, clock: Clock, spoil: Callable[[Pair], object], words: str
    ) -> None:
        before = Meeting(door, "a.example").serial
        spoil(pair)
        assert door.look() == []
        assert words in str(door.status()[0]["problem"])
        clock.now += 1.0
        ((is_good, text),) = door.look()
        assert not is_good
        assert words in text
        assert text.endswith("; the certificate before it stays")
        clock.now += 100
        assert door.look() == []
        assert Meeting(door, "a.example").serial == before
        write(pair.key.parent, "a", "a.example")
        assert [good for good, _ in door.look()] == [True]
        assert door.status()[0]["problem"] is None

    def test_an_expired_one_may_follow_an_expired_one(self, tmp_path: Path) -> None:
        past = datetime.now(UTC) - timedelta(days=2)
        door = Door(Tls((write(tmp_path, "a", "a.example", not_after=past),)))
        write(tmp_path, "a", "a.example", not_after=past + timedelta(days=1))
        assert [good for good, _ in door.look()] == [True]

    def test_a_broken_configuration_changes_nothing(self, door: Door, pair: Pair, tmp_path: Path) -> None:
        other = write(tmp_path, "b", "b.example")
        other.key.write_text("")
        with pytest.raises(PairError, match="no private key"):
            door.prepare(Tls((pair, other)))
        assert Meeting(door, "b.example").names == ["a.example"]
        door.take(door.prepare(Tls((pair, write(tmp_path, "b", "b.example")))))
        assert Meeting(door, "b.example").names == ["b.example"]

    def test_status_says_what_an_operator_wants(self, door: Door, pair: Pair) -> None:
        (row,) = door.status()
        assert row["certificate"] == str(pair.certificate)
        assert row["hosts"] == ["a.example"]
        assert row["key"] == "ECDSA"
        assert isinstance(row["days_left"], int)
        assert str(row["expires"]) > time.strftime("%Y-%m-%d")
        assert row["problem"] is None
