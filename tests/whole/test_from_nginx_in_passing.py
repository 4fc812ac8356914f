"""docs/from-nginx.md: the keys within its sentences are good ones, and nginx's names are known to `check`."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.whole.idiom_world import World
from tests.whole.idioms import PAGE, idioms
from trivet_common.config.hints import FOREIGN
from trivet_deploy.check import check

# The page's words, and a file in which they are good.
SAID = {
    '"unix:/run/shop/trivet.sock"': """
        listen: "unix:/run/shop/trivet.sock"
        trusted_proxies: [unix]
        """,
    "trusted_proxies: [unix]": "trusted_proxies: [unix]",
    "status: 301": "routes: [{scheme: http, redirect: {to: 'https://{host}{uri}', status: 301}}]",
    "strict: true": """
        listen:
          address: ":443"
          tls: {certificate: /etc/ssl/shop.pem, key: /etc/ssl/shop.key, strict: true}
        """,
    "client_ip: CF-Connecting-IP": """
        client_ip: CF-Connecting-IP
        trusted_proxies: 10.0.0.0/8
        """,
    'cache: "public, max-age=31536000, immutable"': """
        routes:
          - path: /
            files: {root: /srv/shop/static, cache: "public, max-age=31536000, immutable"}
        """,
    "keep_releases: 3": """
        state_dir: /var/state
        routes: [{path: /, files: {root: /srv/shop/dist, keep_releases: 3}}]
        """,
    "verify: false": """
        upstreams: {a: {servers: "https://10.0.0.1:8001", tls: {verify: false}}}
        routes: [{upstream: a}]
        """,
    "?{query}": "routes: [{path: /old, redirect: '/new/?{query}'}]",
    'headers: {X-Version: "2"}': 'routes: [{headers: {X-Version: "2", X-A: true, X-B: false}, respond: x}]',
    "forward: true": """
        routes:
          - basic_auth: {file: /etc/shop/htpasswd, forward: true}
            upstream: "http://10.0.0.1:8001"
        """,
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("passing"))
    yield made
    made.close()


@pytest.mark.parametrize("words", SAID)
def test_it_is_good(words: str, here: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"`{words}`" in PAGE.read_text()
    text = dedent(SAID[words])
    text += "" if "routes:" in text else "\nroutes: [{respond: x}]\n"
    (tmp_path / "trivet.yaml").write_text(here.placed(text))
    assert check(str(tmp_path / "trivet.yaml"), "proxy", with_app=False) == 0
    assert capsys.readouterr().err == "", "no warnings"


def test_names_of_nginx_are_answered_with_ours() -> None:
    found = re.compile(r"(?:^|[{;])\s*([a-z_]+)(?=[ ;])", re.MULTILINE)
    names = {name for idiom in idioms() for text in idiom.nginx for name in found.findall(text)}
    ours_too = {"allow", "deny", "include", "internal", "listen", "upstream"}
    assert names - {*FOREIGN, *ours_too, "default"} == set()
