"""`listener` of a route: which listeners it means, and the warning where one is a way around another."""

from pathlib import Path
from typing import Any

import pytest
import trustme

from trivet_common.config import ConfigError, Settings, load

CA = trustme.CA()
HEAD = """\
listen:
  - 127.0.0.1:8000
  - {address: "unix:web.sock", name: local}
  - {address: 127.0.0.1:8443, name: admin, tls: {certificate: site.pem, client: required, client_ca: ca.pem}}
"""
ADMIN = 'routes:\n  - {path: /admin/, listener: admin, upstream: "http://127.0.0.1:1"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site.pem").write_bytes(CA.issue_cert("a.example").private_key_and_cert_chain_pem.bytes())
    (tmp_path / "public").mkdir()
    (tmp_path / "site.pem").chmod(0o600)
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


def read(folder: Path, routes: str, head: str = HEAD, **options: Any) -> Settings:
    (folder / "trivet.yaml").write_text(head + routes)
    return load(folder / "trivet.yaml", environ={}, **options)


@pytest.mark.parametrize(
    ("written", "addresses"),
    [
        ("admin", ("127.0.0.1:8443",)),
        ('"127.0.0.1:8443"', ("127.0.0.1:8443",)),
        ("[local, 127.0.0.1:8000, local]", ("unix:web.sock", "127.0.0.1:8000")),
        ('"unix:./web.sock"', ("unix:web.sock",)),
    ],
)
def test_a_name_or_an_address(folder: Path, written: str, addresses: tuple[str, ...]) -> None:
    settings = read(folder, f"routes: [{{path: /, listener: {written}, respond: x}}]\n")
    assert settings.routes[0].listener == addresses
    assert [listen.name for listen in settings.listen] == [None, "local", "admin"]
    assert settings.listen[1].fixed.name is None  # another name needs no restart


def test_a_bare_port(folder: Path) -> None:
    settings = read(folder, "routes: [{path: /, listener: 8080, respond: x}]\n", "listen: [8080, 8081]\n")
    assert settings.routes[0].listener == ("8080",)


@pytest.mark.parametrize(
    ("head", "routes", "line", "words"),
    [
        (
            HEAD,
            "routes: [{path: /, listener: admim, respond: x}]\n",
            5,
            "there is no listener admim; write admin",
        ),
        (HEAD, "routes: [{path: /, listener: 9999, respond: x}]\n", 5, "there is no listener 9999"),
        (
            "listen:\n  - {address: 8080, name: a}\n  - {address: 8081, name: a}\n",
            "routes: [{path: /, respond: x}]\n",
            3,
            "listen.name: a is another listener already; choose another",
        ),
        (
            HEAD,
            "routes:\n  - {path: /x/, internal: true, files: public, listener: admin}\n  - {respond: x}\n",
            6,
            "an application orders it",
        ),
        (
            HEAD,
            "routes:\n  - {path: /a/, respond: x}\n  - {path: /a/b, listener: admin, respond: x}\n",
            7,
            "can never match",
        ),
        (
            "listen: 8080\n",
            "pools: {web: {app: x, listen: {address: 127.0.0.1:9, name: a}}}\nroutes: [{pool: web}]\n",
            2,
            "only a listener of the proxy has it",
        ),
    ],
)
def test_mistakes(folder: Path, head: str, routes: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(folder, routes, head)
    said = "\n".join(map(str, wrong.value.problems))
    assert words in said
    assert f"trivet.yaml:{line}: " in said, said


@pytest.mark.parametrize(
    "routes",
    [
        "  - {path: /, listener: admin, respond: x}\n  - {path: /, respond: y}\n",
        "  - {path: /, listener: [admin, local], respond: x}\n  - {listener: 127.0.0.1:8000, respond: y}\n",
    ],
)
def test_a_route_for_one_listener_hides_nothing_of_the_others(folder: Path, routes: str) -> None:
    assert len(read(folder, f"routes:\n{routes}").routes) == 2


def warnings(folder: Path, routes: str, head: str = HEAD) -> list[str]:
    return [str(one) for one in read(folder, routes, head).warnings if "certificate" in str(one)]


def test_a_way_around_a_required_certificate_is_a_warning(folder: Path) -> None:
    (said,) = warnings(folder, ADMIN.replace("listener: admin, ", "") + "  - {path: /, files: public}\n")
    assert "trivet.yaml:4: listen.tls.client: the route for /admin/ (" in said
    assert "trivet.yaml:6) and 1 more are reached by 127.0.0.1:8000 without a certificate; write" in said
    assert said.endswith("write listener: admin in what it is to protect")


@pytest.mark.parametrize(
    "routes",
    [
        ADMIN,
        ADMIN + "  - {path: /, files: public}\n",
        ADMIN + "  - {path: /, listener: [local, 127.0.0.1:8000], files: public}\n",
        "routes:\n  - {path: /, respond: nothing of the site's}\n",
        # What answers plain HTTP first leaves nothing of the rest to it.
        'routes:\n  - {scheme: http, redirect: "https://{host}{uri}"}\n  - {path: /, files: public}\n',
    ],
)
def test_what_is_no_way_around_is_not_one(folder: Path, routes: str) -> None:
    assert warnings(folder, routes) == []


def test_who_asks_and_does_not_require_is_no_guard(folder: Path) -> None:
    head = HEAD.replace("required", "optional")
    assert warnings(folder, "routes: [{path: /, files: public}]\n", head) == []


HTTPS = """
routes:
  - {scheme: http, redirect: "https://{host}{uri}"}
  - {scheme: https, path: /a/, respond: a}
  - {path: /, respond: b}
"""
CIRCLE = [
    "3: redirect: all requests are http here: behind somebody who speaks https this leads in a circle",
    "4: scheme: no listener speaks https, and nobody is trusted to say that a client does",
]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("listen: 80", CIRCLE),
        ("listen: [80, {address: 81, scheme: https}]", []),
        ("trusted_proxies: 10.0.0.0/8", []),
        ("trusted_proxies: unix", []),
    ],
)
def test_what_nobody_can_ask_over_https(folder: Path, head: str, expected: list[str]) -> None:
    said = [str(one) for one in read(folder, HTTPS, head).warnings]
    assert [line.partition("; write trusted_proxies: [networks]")[0] for line in said] == [
        f"{folder}/trivet.yaml:{line}" for line in expected
    ]


def test_a_site_that_only_sends_to_https_is_in_no_circle(folder: Path) -> None:
    routes = '\nroutes: [{scheme: http, redirect: "https://{host}{uri}"}]'
    assert read(folder, routes, "listen: 80").warnings == ()
