import builtins
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest

from trivet_common.config.pair import load_pair
from trivet_common.config.tls import Pair
from trivet_deploy import tls_dev
from trivet_deploy.refusal import Refusal
from trivet_deploy.site import TLS_ADDRESS, Options


def test_a_certificate_that_is_trusted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = tls_dev.make({"XDG_STATE_HOME": str(tmp_path)})
    own = load_pair(Pair(first, first))[0]
    assert {"localhost", "127.0.0.1", "::1"} <= set(own.names)
    assert 88 <= own.days_left() <= 90
    authority = first.with_name("authority.pem")
    assert f"curl --cacert {authority}" in capsys.readouterr().err
    before = authority.read_bytes()
    second = tls_dev.make({"HOME": "/nowhere", "XDG_STATE_HOME": str(tmp_path)})
    assert (second, authority.read_bytes()) == (first, before)
    assert load_pair(Pair(second, second))[0].issuer == own.issuer
    ssl.create_default_context(cafile=str(authority))
    assert {stat.S_IMODE(path.stat().st_mode) for path in first.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700


def test_without_trustme_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "trustme":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(Refusal, match="pip install trustme"):
        tls_dev.make({"XDG_STATE_HOME": str(tmp_path)})


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "trivet").write_text("in the way")
    with pytest.raises(Refusal, match="--tls-dev keeps its certificates there"):
        tls_dev.make({"XDG_STATE_HOME": str(tmp_path)})


def test_it_stands_above_the_files_addresses(tmp_path: Path) -> None:
    certificate = str(tmp_path / "site.pem")
    tls = {"certificate": certificate}
    assert Options(certificate=certificate).overrides("web")["listen"] == [
        {"address": TLS_ADDRESS, "tls": tls}
    ]
    some = Options(certificate=certificate, listen=["8443", "[::1]:8443"]).overrides("web")["listen"]
    assert some == [{"address": "8443", "tls": tls}, {"address": "[::1]:8443", "tls": tls}]
