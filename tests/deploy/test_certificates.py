from pathlib import Path

import trustme

from trivet_common.config import from_mapping
from trivet_deploy.certificates import checked, line, shown

ROW = {
    "certificate": "/etc/site.pem",
    "hosts": ["a.example"],
    "key": "ECDSA",
    "expires": "2027-01-31",
    "days_left": 71,
}


def test_a_line_says_what_matters() -> None:
    assert line(ROW) == "certificate /etc/site.pem: a.example; ECDSA, 71 days left (until 2027-01-31)"
    many = ROW | {"hosts": [f"{n}.example" for n in range(6)], "days_left": 1}
    assert "0.example, 1.example, 2.example, 3.example and 2 more; ECDSA, 1 day left" in line(many)
    assert "expired 2 days ago" in line(ROW | {"days_left": -2})
    assert line(ROW | {"certificate": "a\x1b[31m"}).startswith("certificate a\\x1b[31m")


def test_what_is_not_taken_up_is_said() -> None:
    assert list(shown([ROW, ROW | {"days_left": 3}, ROW | {"problem": "site.key holds no private key"}])) == [
        (line(ROW), False),
        (line(ROW | {"days_left": 3}), True),
        (line(ROW), False),
        ("  not taken up: site.key holds no private key", True),
    ]


def test_what_is_shut_or_wrong_in_one_process_is_said() -> None:
    shut = {"certificate": "/etc/site.pem", "hosts": [], "key": None, "expires": None, "days_left": None}
    assert line(shut) == "certificate /etc/site.pem: nothing is shown"
    assert line(shut | {"hosts": ["a.example"]}) == "certificate /etc/site.pem: a.example; nothing is shown"
    row = ROW | {"problem": "broken", "processes": {"0": "broken", "1": "Too many open files"}}
    assert list(shown([row]))[1:] == [
        ("  not taken up: broken", True),
        ("  not taken up by proxy process 1: Too many open files", True),
    ]


def test_of_a_configuration(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("a.example", "b.example")
    (tmp_path / "site.pem").write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    (tmp_path / "site.pem").chmod(0o600)
    listen = {"address": "127.0.0.1:8443", "tls": {"certificate": "site.pem"}}
    route = {"path": "/", "respond": "x"}
    settings = from_mapping({"listen": listen, "routes": [route]}, base=tmp_path, environ={})
    (said,) = checked(settings)
    assert said.startswith(f"certificate {tmp_path}/site.pem: a.example, b.example; ECDSA, ")
    assert list(checked(from_mapping({"routes": [route]}, environ={}))) == []
