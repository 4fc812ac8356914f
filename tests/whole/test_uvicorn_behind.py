"""Stock uvicorn behind our proxy: an ASGI application is an upstream."""

import os
from pathlib import Path

from tests.whole.running import running
from tests.whole.strangers import free_port, module, stranger
from tests.whole.talking import Talk

ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    said = f"{scope['method']} {scope['path']} {size} {headers.get('x-forwarded-for')}"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for piece in said.split(" "):
        await send({"type": "http.response.body", "body": piece.encode() + b" ", "more_body": True})
    await send({"type": "http.response.body"})
"""


def test_asgi_application_behind_us(tmp_path: Path) -> None:
    (tmp_path / "asgi.py").write_text(ASGI)
    port = free_port()
    config = f'log: {{access: access.log}}\nroutes: [{{path: /, upstream: "http://127.0.0.1:{port}"}}]\n'
    command = module(
        "uvicorn", "--port", str(port), "--log-level", "warning", "--app-dir", str(tmp_path), "asgi:app"
    )
    body = os.urandom(2_000_000)
    here = ("127.0.0.1", port)
    with stranger(command, tmp_path, here), running(tmp_path, config) as site, Talk(site.address) as talk:
        assert talk.get("/a").body == b"GET /a 0 127.0.0.1 "
        talk.say(f"POST /b HTTP/1.1\nHost: a\nContent-Length: {len(body)}\n\n", body)
        assert talk.answer().body == b"POST /b 2000000 127.0.0.1 "
        talk.say(f"POST /c HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n{len(body):x}\n", body, "\n0\n\n")
        assert talk.answer().body == b"POST /c 2000000 127.0.0.1 "
        assert talk.get("/d", method="HEAD").status == 200
    assert "why=" not in (tmp_path / "access.log").read_text()
