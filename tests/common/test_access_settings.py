"""`allow`, `deny`, `rate_limit`, `basic_auth`, `forward_auth`: what is written, and what is meant by it."""

from pathlib import Path

import pytest

from trivet_common.config import ConfigError, from_mapping, load
from trivet_common.config.settings_access import Access, RateLimit

HASH = "$2y$05$" + "a" * 53


def access_of(written: dict[str, object], defaults: dict[str, object] | None = None) -> Access | None:
    site: dict[str, object] = {
        "routes": [{"path": "/", "pool": "web", **written}],
        "pools": {"web": {"app": "shop"}},
        "defaults": defaults or {},
    }
    return from_mapping(site, environ={}, purpose="proxy").routes[0].access


def rules_of(**written: object) -> tuple[list[str], bool]:
    access = access_of(written)
    assert access is not None
    assert access.doorkeeping is not None
    rules = [f"{'+' if verdict else '-'}{place or 'unix'}" for place, verdict in access.doorkeeping.rules]
    return rules, access.doorkeeping.otherwise


@pytest.mark.parametrize("written", [{}, {"allow": "off"}, {"rate_limit": "off"}, {"basic_auth": "off"}])
def test_what_is_off_is_absent(written: dict[str, object]) -> None:
    assert access_of(written) is None


@pytest.mark.parametrize(
    ("written", "rules", "otherwise"),
    [
        ({"allow": "10.0.0.0/8"}, ["+10.0.0.0/8"], False),
        ({"deny": ["192.0.2.7"]}, ["-192.0.2.7/32"], True),
        ({"allow": ["10.0.0.0/8"], "deny": "10.1.0.0/16"}, ["-10.1.0.0/16", "+10.0.0.0/8"], False),
        ({"allow": "10.1.2.3", "deny": "10.0.0.0/8"}, ["+10.1.2.3/32", "-10.0.0.0/8"], False),
        ({"allow": "10.0.0.0/8", "deny": "all"}, ["-unix", "+10.0.0.0/8", "-0.0.0.0/0", "-::/0"], False),
        ({"allow": "10.0.0.0/8", "deny": "10.0.0.0/8"}, ["-10.0.0.0/8"], False),
        ({"allow": ["unix", "2001:db8::/32"]}, ["+unix", "+2001:db8::/32"], False),
        ({"allow": "::ffff:10.0.0.0/104"}, ["+10.0.0.0/8"], False),
    ],
)
def test_the_most_specific_network_comes_first(
    written: dict[str, object], rules: list[str], otherwise: bool
) -> None:
    assert rules_of(**written) == (rules, otherwise)


@pytest.mark.parametrize(
    ("written", "limits"),
    [
        ("10/s", [RateLimit("/ 0", 10, 1.0, 9)]),
        ({"rate": "400/m", "burst": 0}, [RateLimit("/ 0", 400, 60.0, 0)]),
        (
            ["10/s", {"rate": "1000/d", "burst": 5, "key": "header:X-Api-Key"}],
            [RateLimit("/ 0", 10, 1.0, 9), RateLimit("/ 1", 1000, 86400.0, 5, "x-api-key")],
        ),
    ],
)
def test_rates(written: object, limits: list[RateLimit]) -> None:
    access = access_of({"rate_limit": written})
    assert access is not None
    assert list(access.rate_limits) == limits


def test_a_rate_of_the_defaults_is_one_for_all_routes() -> None:
    access = access_of({}, {"rate_limit": "10/s"})
    assert access is not None
    assert access.rate_limits[0].scope == "defaults 0"
    assert access_of({"rate_limit": "off"}, {"rate_limit": "10/s"}) is None


def test_defaults_go_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(f"ann:{HASH}\n")
    defaults = {"allow": "10.0.0.0/8", "basic_auth": str(tmp_path / "users")}
    access = access_of({"allow": "all"}, defaults)
    assert access is not None
    assert access.doorkeeping is not None
    assert access.doorkeeping.rules[0] == (None, True)
    assert access.basic_auth is not None
    assert access.basic_auth.realm == "restricted"
    assert access_of({"allow": "off", "basic_auth": "off"}, defaults) is None


def test_who_is_asked() -> None:
    access = access_of({"forward_auth": "http://127.0.0.1:9091/verify?x=1"})
    assert access is not None
    found = access.forward_auth
    assert found is not None
    assert found.upstream is not None
    assert (found.target, found.host) == ("/verify?x=1", "127.0.0.1:9091")
    assert found.upstream.servers[0].text == "http://127.0.0.1:9091"
    access = access_of(
        {"forward_auth": {"pool": "web", "path": "/auth", "copy": "Remote-User", "timeout": "1s"}}
    )
    assert access is not None
    assert access.forward_auth is not None
    assert (access.forward_auth.pool, access.forward_auth.copy) == ("web", ("remote-user",))
    assert access.forward_auth.upstream is None


WRONG: list[tuple[str, str]] = [
    ("allow: 10.0.0.1/8", "10.0.0.0/8"),
    ("allow: [any]", "write all"),
    ("deny: [office]", "neither a network"),
    ("rate_limit: 10", "write for example 10/s"),
    ("rate_limit: 10r/s", "write 10/s"),
    ("rate_limit: 0/s", "out of range"),
    ("rate_limit: {rate: 10/s, burst: -1}", "burst"),
    ("rate_limit: {rate: 10/s, key: ip}", 'write client, or "header:NAME"'),
    ("rate_limit: {rate: 10/s, key: 'header:'}", 'write client, or "header:NAME"'),
    ("rate_limit: {rate: 10/s, key: 'header:X-Forwarded-For'}", "write key: client"),
    ("rate_limit: {rate: 10/s, key: 'header:X_Key'}", "write header:x-key"),
    ("rate_limit: {burst: 1}", "rate is missing"),
    ("rate_limit: [1/s, 1/s, 1/s, 1/s, 1/s, 1/s, 1/s, 1/s, 1/s]", "more than 8"),
    ("basic_auth: none.txt", "there is no"),
    ("basic_auth: {realm: x}", "file is missing"),
    ("basic_auth: {file: users, realm: 'a\"b'}", "cannot be said in a header"),
    ("basic_auth: old", 'old:2: basic_auth: the password of bob is hashed by SHA-1'),
    ("forward_auth: 127.0.0.1:9091/x", "is not a URL"),
    ("forward_auth: http://a:1/b#c", "is not a URL"),
    ("forward_auth: http://a:b@c/", "is not a URL"),
    ("forward_auth: http://a:99999/", "port"),
    ("forward_auth: {copy: X-User}", "asks nobody"),
    ("forward_auth: {pool: wep, path: /a}", "there is no pool wep; write web"),
    ("forward_auth: {pool: web, path: a}", "begin it with /"),
    ("forward_auth: {url: 'http://a:1/', pool: web}", "keep one of the two"),
    ("forward_auth: {url: 'http://a:1/', path: /x}", "stands in url"),
    ("forward_auth: {url: 'http://a:1/', copy: Content-Length}", "cannot be copied"),
    ("forward_auth: {url: 'http://a:1/', copy: [X-Forwarded-For]}", "cannot be copied"),
    ("forward_auth: {url: 'http://a:1/', copy: [X_User]}", "cannot tell such a name"),
    ("forward_auth: {url: 'http://a:1/', redirect: login}", "neither a path nor a URL"),
    ("forward_auth: {url: 'http://a:1/', redirect: //evil}", "neither a path nor a URL"),
    ("forward_auth: {url: 'http://a:1/', redirect: '/x?{next}'}", "no placeholder {next}"),
    ("auth_basic: x", "write basic_auth:"),
    ("auth_request: x", "write forward_auth:"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_mistakes(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "users").write_text(f"ann:{HASH}\n")
    (tmp_path / "old").write_text(f"ann:{HASH}\nbob:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
    (tmp_path / "trivet.yaml").write_text(
        f"routes:\n  - path: /\n    pool: web\n    {line}\npools: {{web: {{app: shop}}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "trivet.yaml", purpose="proxy")
    assert words in str(caught.value), str(caught.value)


def test_nobody_in_the_file_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("# nobody yet\n")
    (tmp_path / "trivet.yaml").write_text("routes: [{respond: x, basic_auth: users}]\n")
    (warning,) = load(tmp_path / "trivet.yaml", purpose="proxy").warnings
    assert "nobody stands in" in str(warning)
