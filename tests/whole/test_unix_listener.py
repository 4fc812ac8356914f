"""A site that listens on a Unix socket too: said under its own name, answered on, gone afterwards."""

from pathlib import Path

from tests.whole.running import running
from tests.whole.talking import ask

SHOW = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    seen = [environ.get(name) for name in ("REMOTE_ADDR", "SERVER_NAME", "HTTP_X_FORWARDED_FOR")]
    return [repr(seen).encode()]
"""


def test_a_site_on_tcp_and_on_a_path(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    config = f'listen: [127.0.0.1:0, "unix:{path}"]\npools: {{web: {{app: show, workers: 1}}}}\n'
    with running(tmp_path, config, show=SHOW) as site:
        assert f"  unix:{path}\n" in site.said()
        assert ask(str(path), "/").body == b"['', 'a.example', None]"
        assert ask(site.address, "/").body == b"['127.0.0.1', 'a.example', '127.0.0.1']"
    assert not path.exists()
