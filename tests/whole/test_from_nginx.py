"""docs/from-nginx.md: every snippet is a good file and does what the page says; nginx takes its own half."""

import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole import idiom_acts as acts
from tests.whole.idiom_acts import INSIDE, OUTSIDE
from tests.whole.idiom_asks import Ask, Row, run
from tests.whole.idiom_world import World, world
from tests.whole.idioms import Idiom, completed, idioms, nginx_conf
from trivet_common.config import load
from trivet_deploy.check import check

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
OVER_HTTPS = "X-Forwarded-Proto: https"
BROWSER = "Accept: text/html"
CORS = ("Origin: https://app.example", "Access-Control-Request-Method: PUT")
KNOWN = "Authorization: Basic " + b64encode(b"ann:secret").decode()


ROWS = {
    "A site with a name": Row((
        Ask("GET shop.example/a", 200, by="8001"),
        Ask("GET WWW.shop.example:80/a", 200, by="8001"),
        Ask("GET new.shop.test/a", 200, by="8001"),
        Ask("GET shop.test/a", 404),
    )),
    "The application itself": Row((
        Ask("GET /a?b=c", 200, by="web", told={"PATH_INFO": "/a", "QUERY_STRING": "b=c"}),
        Ask("POST /a", 200, by="web", carries=100_000, told={"length": 100_000}),
    )),
    "From http to https": Row((
        Ask("GET /a?b=c", 308, has={"Location": "https://shop.example/a?b=c"}),
        Ask("GET /a", 200, (OVER_HTTPS,), by="web", told={"wsgi.url_scheme": "https"}),
    )),
    "One name for the site": Row((
        Ask("GET www.shop.example/a?b=c", 301, (OVER_HTTPS,), has={"Location": "https://shop.example/a?b=c"}),
        Ask("GET /a", 200, by="web"),
    )),
    "Names that are nobody's": Row((
        Ask("GET /a", 200, by="web"),
        Ask("GET 127.0.0.1/a", 404),
        Ask("GET evil.example/a", 404),
    )),
    "Several sites, each in a file": Row((
        Ask("GET blog.example/a", 200, by="blog"),
        Ask("GET blog.example/static/x.css", 200, body="of the blog"),
        Ask("GET /a", 404),
    )),
    "Certificates": Row((
        Ask("GET shop.example/a", 200, by="web", told={"wsgi.url_scheme": "https"}),
        Ask("GET blog.example/a", 200, by="8001", told={"HTTP_X_FORWARDED_PROTO": "https"}),
    ), acts.each_name_has_its_certificate),
    "certbot": Row((
        Ask("GET /.well-known/acme-challenge/token", 200, body="a token"),
        Ask("GET /a", 308, has={"Location": "https://shop.example/a"}),
        Ask("GET /a", 200, (OVER_HTTPS,), by="web"),
    )),
    "HSTS": Row((
        Ask("GET /a", 200, (OVER_HTTPS,),
            has={"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}),
        Ask("GET /a", 200, has={"Strict-Transport-Security": None}),
    )),
    "Clients that show a certificate": Row((
        Ask("GET /admin/", 404),
        Ask("GET /a", 200, by="web"),
    ), acts.staff_alone_gets_in),
    "Behind a load balancer": Row((
        Ask("GET /a", 200,
            ("X-Forwarded-For: 8.8.8.8, 192.0.2.7, 10.1.1.1", OVER_HTTPS, "X-Forwarded-Host: w.example"),
            told={"REMOTE_ADDR": "192.0.2.7", "wsgi.url_scheme": "https", "HTTP_HOST": "shop.example",
                  "HTTP_X_FORWARDED_HOST": "w.example"}),
    )),
    "The PROXY protocol": Row((), acts.balancer_tells_the_client),
    "Static files": Row((
        Ask("GET /static/css/base.27e20196a850.css", 200, body="hashed"),
        Ask("GET /media/evil.html", 200, has={"Content-Disposition": "attachment"}, body="<script>"),
        Ask("GET /static", 308, has={"Location": "/static/"}),
        Ask("GET /static/none.css", 404),
        Ask("GET /a", 200, by="web"),
    )),
    "Caching": Row((
        Ask("GET /static/css/base.27e20196a850.css", 200,
            has={"Cache-Control": "public, max-age=31536000, immutable"}),
        Ask("GET /static/admin.css", 200, has={"Cache-Control": "no-cache"}),
        Ask("GET /img/a.png", 200, has={"Cache-Control": "max-age=2592000", "Expires": None}),
    )),
    "By the end of the name": Row((
        Ask("GET /logo.PNG", 200, has={"Cache-Control": "max-age=2592000"}, body="logo"),
        Ask("GET /wp-login.php", 404),
        Ask("GET /php", 200, by="web"),
    )),
    "The file if there is one, else the application": Row((
        Ask("GET /about.txt", 200, body="about"),
        Ask("GET /", 200, by="8001"),
        Ask("GET /cart/", 200, by="8001"),
        Ask("POST /about.txt", 200, by="8001"),
    )),
    "Pages of one application (React, Vue)": Row((
        Ask("GET /", 200, body="the page"),
        Ask("GET /main.js", 200, body="script"),
        Ask("GET /orders/7", 200, body="the page"),
        Ask("GET /assets/index-5UjPuW-k.js", 404),
        Ask("GET /api/orders", 200, by="8001"),
    )),
    "favicon.ico and robots.txt": Row((
        Ask("GET /favicon.ico", 200, body="icon"),
        Ask("GET /robots.txt", 200, body="User-agent: *\nDisallow: /cart/\n"),
        Ask("GET /favicon.ico/x", 200, by="web"),
    )),
    "Hidden files": Row((
        Ask("GET /.env", 404),
        Ask("GET /.git/config", 404),
        Ask("GET /.well-known/security.txt", 200, body="Contact"),
        Ask("GET /about.txt", 200, body="about"),
        Ask("GET /a", 200, by="web"),
    )),
    "Compressed siblings": Row((
        Ask("GET /static/admin.css", 200, ("Accept-Encoding: br",),
            has={"Content-Encoding": "br", "Vary": "accept-encoding"}),
        Ask("GET /static/admin.css", 200, ("Accept-Encoding: gzip",), has={"Content-Encoding": "gzip"}),
        Ask("GET /static/admin.css", 200, has={"Content-Encoding": None}, body="teal"),
    )),
    "Listings": Row((Ask("GET /pub/", 200, (BROWSER,), body="one.txt"),)),
    "Files that the application lets somebody see": Row((
        Ask("GET /order", 200, body="a report"),
        Ask("GET /sendfile", 200, body="a report"),
        Ask("GET /protected/report.pdf", 404),
        Ask("GET /a", 200, by="web"),
    )),
    "Content types": Row((Ask("GET /models/chair.glb", 200, has={"Content-Type": "model/gltf-binary"}),)),
    "Who the client is": Row((
        Ask("GET /api/a", 200, (OUTSIDE, OVER_HTTPS, "X-Forwarded-Host: evil.example"), by="8001", told={
            "HTTP_HOST": "shop.example", "HTTP_X_REAL_IP": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1",
            "HTTP_X_FORWARDED_PROTO": "http", "HTTP_X_FORWARDED_HOST": "shop.example"}),
        Ask("GET /a", 200, (OUTSIDE, OVER_HTTPS), by="web", told={
            "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "HTTP_HOST": "shop.example"}),
    ), trusted=""),
    "Other headers for the application": Row((
        Ask("GET /a?b=c", 200, ("X-Tenant: mine", "Accept-Encoding: gzip"), by="8001", told={
            "HTTP_X_TENANT": "shop", "HTTP_X_ORIGINAL_URI": "/a?b=c", "HTTP_ACCEPT_ENCODING": None,
            "HTTP_X_FORWARDED_PROTO": "http"}),
    )),
    "An application on a Unix socket": Row((Ask("GET /a", 200, by="unix"),)),
    "Large uploads": Row((
        Ask("POST /upload/a", 200, carries=11 << 20, by="8001", told={"length": 11 << 20}),
        Ask("POST /a", 200, carries=10 << 20, by="web"),
        Ask("POST /a", 413, (f"Content-Length: {11 << 20}", "Expect: 100-continue")),
    )),
    "How long a client is waited for": Row((
        Ask("GET /", 200, ("Cookie: " + "a" * 40_000,)),
        Ask("GET /", 431, ("Cookie: " + "a" * 70_000,)),
    )),
    "Slow pages": Row((Ask("GET /reports/a", 200, by="web"),)),
    "Answers that come bit by bit": Row((), acts.first_event_comes_before_the_second_is_there),
    "Bodies that pass as they come": Row((), acts.body_comes_before_it_is_whole),
    "An application below a path": Row((
        Ask("GET /blog/a", 200, by="blog", told={"SCRIPT_NAME": "/blog", "PATH_INFO": "/a"}),
        Ask("GET /a", 200, by="web", told={"SCRIPT_NAME": "", "PATH_INFO": "/a"}),
    )),
    "Taking a prefix off": Row((
        Ask("GET /api/users?id=1", 200, by="8001",
            told={"PATH_INFO": "/users?id=1", "HTTP_X_FORWARDED_PREFIX": "/api"}),
        Ask("GET /api/", 200, told={"PATH_INFO": "/"}),
    )),
    "WebSockets": Row((Ask("GET /a", 200, by="web"),), acts.a_tunnel_opens),
    "Several servers": Row((), acts.all_servers_but_the_backup),
    "Another server when one fails": Row((), acts.another_server_answers),
    "A server over https": Row((
        Ask("GET /search/a", 200, by="8010", told={"HTTP_HOST": "search.example"}),
    )),
    "Old addresses": Row((
        Ask("GET /about.html", 301, has={"Location": "/about/"}),
        Ask("GET /blog/2019/trivets", 301, has={"Location": "/archive/2019/trivets"}),
        Ask("GET /blog/19/trivets", 200, by="web"),
    )),
    "Rewritten paths": Row((
        Ask("GET /v1/users/7?x=y", 200, by="8001", told={"PATH_INFO": "/api/user?id=7"}),
        Ask("GET /v1/orders?x=y", 200, by="8001", told={"PATH_INFO": "/v1/orders?x=y"}),
    )),
    "The front page in two languages": Row((
        Ask("GET /", 302, ("Accept-Language: de-AT, en",), has={"Location": "/de/"}),
        Ask("GET /", 302, has={"Location": "/en/"}),
        Ask("GET /de/", 200, by="web"),
    )),
    "A fixed answer": Row((
        Ask("GET /ping", 204),
        Ask("GET /shop-2019/shoes", 410),
        Ask("GET /version", 200, has={"Content-Type": "application/json"}, told={"version": "1.4"}),
    )),
    "By header or cookie": Row((
        Ask("GET /a", 200, ("Cookie: a=b; beta=1",), by="8002"),
        Ask("GET /a", 200, ("Cookie: beta=10",), by="8001"),
        Ask("GET /a", 200, by="8001"),
    )),
    "By the query": Row((
        Ask("GET /a?b=c&preview=1", 302, has={"Location": "https://preview.shop.example/a?b=c&preview=1"}),
        Ask("GET /a?preview=", 302),
        Ask("GET /a?previews=1", 200, by="8001"),
    )),
    "By method": Row((
        Ask("GET /feed/", 200, by="8001"),
        Ask("HEAD /feed/", 200),
        Ask("POST /feed/", 405, has={"Allow": "GET, HEAD"}),
    )),
    "By address": Row((
        Ask("GET /admin/", 200, (INSIDE,), by="web"),
        Ask("GET /admin/", 200, ("X-Forwarded-For: 2001:db8::1",), by="web"),
        Ask("GET /admin/", 403, (OUTSIDE,)),
        Ask("GET /a", 200, (OUTSIDE,), by="web"),
    )),
    "Robots, and pictures on other people's pages": Row((
        Ask("GET /a", 403, ("User-Agent: BadBot/1.0",)),
        Ask("GET /a", 200, ("User-Agent: Mozilla/5.0",), by="web"),
        Ask("GET /img/a.png", 200, body="picture"),
        Ask("GET /img/a.png", 200, ("Referer: https://www.shop.example/shoes",), body="picture"),
        Ask("GET /img/a.png", 403, ("Referer: https://evil.example/https://shop.example/",)),
    )),
    "Passwords": Row((
        Ask("GET /staging/", 401, has={"WWW-Authenticate": 'Basic realm="staging", charset="UTF-8"'}),
        Ask("GET /staging/", 200, (KNOWN,), by="8001",
            told={"HTTP_X_REMOTE_USER": "ann", "HTTP_AUTHORIZATION": None}),
        Ask("GET /a", 200, by="web"),
    )),
    "Either by address or by password": Row((
        Ask("GET /admin/", 200, (INSIDE,), by="web", told={"REMOTE_USER": None}),
        Ask("GET /admin/", 401, (OUTSIDE,)),
        Ask("GET /admin/", 200, (OUTSIDE, KNOWN), by="web", told={"REMOTE_USER": "ann"}),
    )),
    "Another service decides": Row((
        Ask("GET /a?b=c", 302, ("Remote-User: root",),
            has={"Location": "https://login.shop.example/?next=/a%3Fb%3Dc"}),
        Ask("GET /a?b=c", 200, ("Cookie: key=ann", "Remote-User: root"), by="8001",
            told={"HTTP_REMOTE_USER": "ann"}),
    )),
    "So many requests": Row((
        Ask("GET /login/", 200, (OUTSIDE,), times=4),
        Ask("GET /login/", 429, (OUTSIDE,), has={"Retry-After": "3"}),
        Ask("GET /login/", 200, (INSIDE,)),
        Ask("GET /a", 200, (OUTSIDE,), times=10),
    )),
    "So many connections": Row((), acts.twenty_connections_and_no_more, trusted=""),
    "Headers for security": Row((
        Ask("GET /a", 200, has={"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
                                "Content-Security-Policy": "default-src 'self'"}),
        Ask("GET /embed/a", 200, has={"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
                                      "Content-Security-Policy": "frame-ancestors *"}),
        Ask("GET /embed/error", 500, has={"X-Content-Type-Options": "nosniff"}),
    )),
    "CORS": Row((
        Ask("OPTIONS /api/a", 204, CORS, has={
            "Access-Control-Allow-Origin": "https://app.example", "Access-Control-Max-Age": "86400",
            "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type"}),
        Ask("OPTIONS /api/a", 200, by="8001"),
        Ask("GET /api/a", 200, CORS[:1], by="8001",
            has={"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Max-Age": None}),
    )),
    "Headers that nobody need see": Row((
        Ask("GET /a", 200, has={"X-Powered-By": None, "Server": None}, by="8001"),
    )),
    "Compression": Row((
        Ask("GET /long", 200, ("Accept-Encoding: gzip",),
            has={"Content-Encoding": "gzip", "Vary": "accept-encoding"}),
        Ask("GET /long", 200, has={"Content-Encoding": None}, by="web"),
    )),
    "Error pages": Row((
        Ask("GET /static/none", 404, (BROWSER,), body="no such thing"),
        Ask("GET /error", 500, (BROWSER,), by="web"),
    )),
    "Error pages in the application's place": Row((
        Ask("GET /error", 500, (BROWSER,), body="sorry: 500"),
        Ask("GET /a", 200, by="8001"),
    )),
    "Maintenance": Row((Ask("GET /", 200, by="web"),), acts.page_comes_and_goes),
    "Is it up?": Row((Ask("GET /healthz", 200), Ask("GET /a", 200, by="web"))),
    "Not these": Row((Ask("GET /static/admin.css", 200), Ask("GET /a", 200)), logs={
        "access.log": r'[^\n]*"GET /a HTTP/1.1" 200[^\n]*\n'}),
    "A log of its own": Row((Ask("GET /api/a", 200), Ask("GET /a", 200)), logs={
        "var/log/shop/api.log": r'127.0.0.1 - - \[[^\n]*\] "GET /api/a HTTP/1.1" 200 \d+ "-" "-"\n',
        "var/log/shop/access.log": r'127.0.0.1 - - \[[^\n]*\] "GET /a HTTP/1.1" 200 \d+ "-" "-"\n'}),
    "Logs for programs": Row((Ask("GET /a", 200, (OUTSIDE,)),), logs={
        "var/log/shop/access.log": r'\{[^\n]*"client": ?"192\.0\.2\.7"[^\n]*\}\n'}),
    "No whole addresses": Row((
        Ask("GET /a", 200, (OUTSIDE,), told={"REMOTE_ADDR": "192.0.2.7"}),
        Ask("GET /a", 200, ("X-Forwarded-For: 2001:db8:1:2::3",)),
    ), logs={"var/log/shop/access.log": r"192\.0\.2\.0 - [^\n]*\n2001:db8:1:: - [^\n]*\n"}),
}  # fmt: skip

PARTS = [pytest.param(idiom, id=f"{idiom.number}. {idiom.title}") for idiom in idioms()]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("nginx")) as made:
        yield made


@pytest.mark.parametrize("idiom", PARTS)
async def test_the_lines_do_what_the_page_says(
    idiom: Idiom, here: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for log in [*here.folder.glob("*.log"), *here.folder.glob("var/log/shop/*.log")]:
        log.unlink()
    file = write(idiom, here)
    assert check(str(file), "serve", with_app=False) == 0
    assert capsys.readouterr().err == "", "no warnings"
    await run(ROWS[idiom.title], load(file, environ={}), here)


def write(idiom: Idiom, here: World) -> Path:
    folder = here.folder / f"site-{idiom.number}"
    for name, text in zip(idiom.others, idiom.trivet[1:], strict=False):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(here.placed(text))
    file = folder / "trivet.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(completed(here.placed(idiom.trivet[0]), here.folder, ROWS[idiom.title].trusted))
    return file


def test_the_page_is_whole() -> None:
    """Numbered from 1, each idiom with both its halves and with requests in the table."""
    found = idioms()
    assert [idiom.number for idiom in found] == list(range(1, len(found) + 1))
    assert len(found) >= 40
    assert [idiom.title for idiom in found if not (idiom.nginx and idiom.trivet)] == []
    assert [idiom.title for idiom in found] == list(ROWS)


@pytest.mark.skipif(NGINX is None, reason="there is no nginx here")
def test_nginx_takes_its_half(here: World, tmp_path: Path) -> None:
    for idiom in idioms():
        for number, text in enumerate(idiom.nginx):
            (tmp_path / "nginx.conf").write_text(nginx_conf(here.placed(text), tmp_path))
            command = [str(NGINX), "-t", "-q", "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            assert done.returncode == 0, (idiom.title, number, done.stderr)
