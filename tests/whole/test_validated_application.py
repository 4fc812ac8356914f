"""wsgiref.validate stands around an application that is asked in every way, and finds nothing."""

from pathlib import Path

from tests.whole.running import running
from tests.whole.talking import Talk

VALIDATED = """
import sys
from wsgiref.validate import validator

def pieces(environ):
    while piece := environ["wsgi.input"].read(1000):
        yield piece

def inner(environ, start_response):
    path, text = environ["PATH_INFO"], [("Content-Type", "text/plain")]
    if path in ("/204", "/304"):
        start_response({"/204": "204 No Content", "/304": "304 Not Modified"}[path], [])
        return []
    if path == "/echo":
        start_response("200 OK", text)
        return pieces(environ)
    if path == "/lines":
        body = environ["wsgi.input"]
        lines = [body.readline(), *body.readlines(1), *body]
        start_response("200 OK", text)
        return [str(len(lines)).encode()]
    if path == "/write":
        write = start_response("200 OK", text)
        write(b"written, ")
        return [b"returned"]
    if path == "/file":
        start_response("200 OK", text)
        return environ["wsgi.file_wrapper"](open(__file__, "rb"), 512)
    if path == "/mended":
        start_response("200 OK", text)
        try:
            raise LookupError
        except LookupError:
            start_response("400 Bad Request", text, sys.exc_info())
        return [b"mended"]
    start_response("200 OK", [*text, ("Content-Length", "5")])
    return [b"plain"]

def strict(environ, start_response):
    # What the validator does not look at: the types of our own additions, and text that is not latin-1.
    for name, value in environ.items():
        assert isinstance(name, str)
        if isinstance(value, str):
            value.encode("latin-1")
    return validated(environ, start_response)

validated = validator(inner)
application = strict
"""
BODY = b"a line\n" * 3000


def test_the_validator_finds_nothing(tmp_path: Path) -> None:
    config = "log: {error: error.log}\npools: {web: {app: validated, workers: 1, threads: 2}}\n"
    with running(tmp_path, config, validated=VALIDATED) as site, Talk(site.address) as talk:
        for target in ("/", "/?a=%20%FF&b", "/r%C3%A4uber/%E2%82%AC%FF", "//double", "/304", "/204"):
            assert talk.get(target).status in (200, 204, 304)
            assert talk.get(target, method="HEAD").status in (200, 204, 304)
        assert talk.get("/", method="OPTIONS").body == b"plain"
        assert talk.get("/write").body == b"written, returned"
        assert talk.get("/mended").status == 400
        assert talk.get("/file").body == VALIDATED.encode()
        length = f"Content-Length: {len(BODY)}"
        kind = "Content-Type: text/plain"
        assert talk.say(f"POST /echo HTTP/1.1\nHost: a\n{kind}\n{length}\n\n", BODY).answer().body == BODY
        assert talk.say(f"PUT /lines HTTP/1.1\nHost: a\n{length}\n\n", BODY).answer().body == b"3000"
        talk.say("POST /echo HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n")
        talk.say(f"{len(BODY):x}\n", BODY, "\n0\n\n")
        assert talk.answer().body == BODY
        assert talk.say("DELETE / HTTP/1.0\n\n").answer("DELETE").body == b"plain"
    log = (tmp_path / "error.log").read_text()
    assert not [word for word in ("Assertion", "Warning", "Traceback") if word in log], log
