"""The ready check, asked of an application in the same process."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from trivet_backend.environ import EnvironBuilder
from trivet_backend.file_wrapper import FileWrapper
from trivet_backend.readiness import why_not_ready

ENVIRONS = EnvironBuilder(
    errors=sys.stderr, threads=1, workers=1, file_wrapper=FileWrapper, is_proxy=lambda address: False
)


def check(application: Any, path: str = "/healthz?deep=1") -> str | None:
    return why_not_ready(application, ENVIRONS, path)


def test_what_is_asked() -> None:
    asked: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(environ)
        start_response("200 OK", [])
        return [b"ok" + environ["wsgi.input"].read()]

    assert check(application) is None
    (environ,) = asked
    assert environ["REQUEST_METHOD"] == "GET"
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/healthz", "deep=1")
    assert (environ["HTTP_HOST"], environ["REMOTE_ADDR"]) == ("localhost", "127.0.0.1")
    assert environ["trivet.deadline"] is None
    assert not [name for name in environ if name.startswith("HTTP_X_")]


@pytest.mark.parametrize("status", ["200 OK", "301 Moved", "400 Bad Request", "404 Not Found"])
def test_any_answer_below_500_is_ready(status: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response(status, [("Content-Type", "text/plain")])
        yield b"a"
        yield b"b"

    assert check(application) is None


def test_a_fault_is_not() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("503 Not Yet", [])
        return [b"no"]

    assert check(application) == "the ready check of /healthz?deep=1 answered 503"


def test_an_exception_is_not_and_is_shown() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise LookupError("no table")

    found = check(application)
    assert found is not None
    assert found.startswith("the ready check of /healthz?deep=1 answered 500\n")
    assert "LookupError: no table" in found
    assert "in application" in found


def test_nor_is_an_answer_that_breaks_off() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        raise OSError("gone")

    found = check(application)
    assert found is not None
    assert "gone" in found


def test_nor_is_none() -> None:
    found = check(lambda environ, start_response: None)
    assert found is not None
    assert "answered 500" in found
