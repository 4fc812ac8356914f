"""Stock gunicorn behind our proxy, over a Unix socket and over TCP."""

from pathlib import Path

import pytest

from tests.whole.running import running
from tests.whole.strangers import free_port, module, stranger, try_flask_site
from tests.whole.talking import EXAMPLES, Talk, ask


@pytest.mark.parametrize("kind", ["unix", pytest.param("tcp", marks=pytest.mark.slow)])
def test_flask_on_gunicorn_behind_us(tmp_path: Path, kind: str) -> None:
    port = free_port()
    bind = f"unix:{tmp_path}/g.sock" if kind == "unix" else f"127.0.0.1:{port}"
    upstream = bind if kind == "unix" else f"http://{bind}"
    command = module("gunicorn", "--bind", bind, "--workers", "2", "--chdir", str(EXAMPLES / "flask_site"))
    command += ["--env", f"SITE_DATA={tmp_path}", "app:app", "--no-control-socket"]
    config = f'log: {{access: access.log}}\nroutes: [{{path: /, upstream: "{upstream}"}}]\n'
    address = f"{tmp_path}/g.sock" if kind == "unix" else ("127.0.0.1", port)
    with stranger(command, tmp_path, address), running(tmp_path, config) as site:
        try_flask_site(site.url)
        with Talk(site.address) as talk:
            for _ in range(5):  # gunicorn's sync worker closes after every answer; the client need not know
                seen = talk.get("/whoami").json()
        assert seen["host"] == "a.example"
        assert len(seen["request_id"]) == 32
        assert ask(site.address, "/whoami", method="HEAD").status == 200
    assert "why=" not in (tmp_path / "access.log").read_text()


def test_an_upstream_that_is_not_there_is_502(tmp_path: Path) -> None:
    servers = '["unix:/nonexistent/g.sock", "http://127.0.0.1:1"]'
    config = f"log: {{access: access.log, error: error.log}}\nroutes: [{{path: /, upstream: {servers}}}]\n"
    with running(tmp_path, config) as site:
        answer = ask(site.address, "/", "Accept: text/html")
        assert (answer.status, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
        assert b"upstream_refused" in answer.body
    assert "why=upstream_refused" in (tmp_path / "access.log").read_text()
    said = (tmp_path / "error.log").read_text()
    assert "unix:/nonexistent/g.sock: No such file or directory" in said
    assert "127.0.0.1:1: Connection refused" in said
