"""A client tells us who it is, how it came and what its request is called: none of it is believed."""

from pathlib import Path

from tests.whole.running import running
from tests.whole.talking import ask

SHOW = """
import json
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()]
"""
FORGED = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 444",
    "X-Forwarded-Prefix: /evil",
    "X-Real-IP: 6.6.6.6",
    "X-Request-Id: mine",
    "Forwarded: for=6.6.6.6;proto=https",
    "X_Forwarded_For: 6.6.6.6",
    "Trivet-Claim: 1 1",
    "Trivet-Mount: /evil",
    "Trivet-Stream: 1",
    "Trivet-Queued: 99",
    "Proxy: http://evil.example",
    "Connection: X-Real-IP, X-Forwarded-For, X-Request-Id, Trivet-Claim",
)


def test_what_a_client_says_of_itself_is_not_believed(tmp_path: Path) -> None:
    with running(tmp_path, "pools: {web: {app: show, workers: 1}}\n", show=SHOW) as site:
        seen = ask(site.address, "/a", *FORGED).json()
        ids = {ask(site.address, "/a", "X-Request-Id: mine").json()["HTTP_X_REQUEST_ID"] for _ in range(2)}
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["SERVER_NAME"]) == (
        "127.0.0.1",
        "http",
        "a.example",
    )
    assert (seen["SERVER_PORT"], seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("80", "", "/a")
    assert seen["HTTP_X_FORWARDED_FOR"] == seen["HTTP_X_REAL_IP"] == "127.0.0.1"
    assert seen["HTTP_X_FORWARDED_PROTO"] == "http"
    assert seen["HTTP_X_FORWARDED_HOST"] == "a.example"
    assert len(ids) == 2
    assert "mine" not in ids
    forged = {name: value for name, value in seen.items() if "6.6.6.6" in value or "evil" in value}
    assert forged == {}
    assert not [name for name in seen if name.startswith("HTTP_TRIVET") or name == "HTTP_PROXY"]


def test_a_trusted_proxy_is_believed(tmp_path: Path) -> None:
    config = "trusted_proxies: [127.0.0.1]\npools: {web: {app: show, workers: 1}}\n"
    with running(tmp_path, config, show=SHOW) as site:
        seen = ask(site.address, "/a", *FORGED[:4], "X-Request-Id: from-the-balancer").json()
        chain = ask(site.address, "/a", "X-Forwarded-For: 6.6.6.6, 192.0.2.9").json()
    assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("6.6.6.6", "https")
    assert seen["HTTP_X_FORWARDED_HOST"] == "evil.example"
    assert chain["REMOTE_ADDR"] == "192.0.2.9"  # the last that no one we trust vouches for
    assert seen["HTTP_X_REQUEST_ID"] == "from-the-balancer"
