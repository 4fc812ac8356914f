"""The environ of PEP 3333 out of a request head."""

import io
import sys
from typing import Any

import pytest

from tests.backend.fakes import request_head
from trivet_backend.environ import EnvironBuilder, Peer
from trivet_backend.file_wrapper import FileWrapper
from trivet_backend.proxys_head import ClaimedHead

BELIEVED = Peer("", 0, True)
STRANGER = Peer("198.51.100.7", 4711, False, "192.0.2.1", 8001)


def builder(threads: int = 1, workers: int = 1, client_ip: str = "X-Forwarded-For") -> EnvironBuilder:
    return EnvironBuilder(
        errors=sys.stderr,
        threads=threads,
        workers=workers,
        file_wrapper=FileWrapper,
        is_proxy=lambda address: address is not None and address.startswith("10."),
        client_ip=client_ip,
    )


def build(target: str = "/", *fields: tuple[str, str], peer: Peer = BELIEVED, **head: Any) -> dict[str, Any]:
    parsed = request_head(target, *fields, **head)
    if any(name.startswith("trivet-") for name, _ in fields):
        parsed = ClaimedHead.of(parsed)
    return builder().build(parsed, peer, io.BytesIO(), "id-1")


def test_the_request_line() -> None:
    environ = build("/a%20b/%e4?x=%31&y", method="POST")
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["PATH_INFO"] == "/a b/\xe4"
    assert environ["QUERY_STRING"] == "x=%31&y"
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == "/a%20b/%e4?x=%31&y"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_slashes_are_not_merged_for_the_application() -> None:
    assert build("//a//b")["PATH_INFO"] == "//a//b"


def test_bytes_are_latin_1() -> None:
    assert build("/", ("x-name", "\xe4\xff"))["HTTP_X_NAME"] == "\xe4\xff"


def test_the_wsgi_variables() -> None:
    environ = build()
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert environ["wsgi.file_wrapper"] is FileWrapper
    assert environ["trivet.request_id"] == "id-1"
    assert environ["trivet.queued"] == 0.0


@pytest.mark.parametrize(("threads", "workers"), [(1, 1), (4, 1), (1, 2)])
def test_concurrency_is_told_truthfully(threads: int, workers: int) -> None:
    environ = builder(threads, workers).build(request_head(), BELIEVED, None, "")
    assert environ["wsgi.multithread"] is (threads > 1)
    assert environ["wsgi.multiprocess"] is (workers > 1)


def test_one_request_does_not_change_the_next() -> None:
    each = builder()
    first = each.build(request_head("/", ("x-a", "1")), BELIEVED, None, "")
    first["wsgi.url_scheme"] = "gopher"
    second = each.build(request_head(), BELIEVED, None, "")
    assert "HTTP_X_A" not in second
    assert second["wsgi.url_scheme"] == "http"


def test_content_headers_have_names_of_their_own() -> None:
    environ = build("/", ("content-type", "text/plain"), ("content-length", "3"), method="POST")
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_repeated_headers_are_joined() -> None:
    environ = build("/", ("accept", "a"), ("accept", "b"), ("cookie", "x=1"), ("cookie", "y=2"))
    assert environ["HTTP_ACCEPT"] == "a,b"
    assert environ["HTTP_COOKIE"] == "x=1; y=2"


def test_what_concerns_the_connection_is_not_the_applications() -> None:
    fields = (
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("proxy", "http://evil"),
    )
    environ = build("/", *fields)
    assert not {"HTTP_CONNECTION", "HTTP_TE", "HTTP_PROXY", "HTTP_X_HOP"} & set(environ)


def test_our_proxy_is_believed() -> None:
    environ = build(
        "/",
        ("host", "shop.example:444"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "444"),
        ("trivet-claim", "1 2"),
        ("trivet-queued", "1500"),
        ("trivet-user", "ann"),
    )
    assert environ["REMOTE_USER"] == "ann"
    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTPS"] == "on"
    assert environ["HTTP_HOST"] == "shop.example:444"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("shop.example", "444")
    assert environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.9"
    assert environ["trivet.queued"] == 1.5
    assert not [name for name in environ if name.startswith("HTTP_TRIVET")]


def test_a_stranger_is_not_believed() -> None:
    environ = build(
        "/",
        ("x-forwarded-for", "1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "mine"),
        ("forwarded", "for=1.1.1.1"),
        peer=STRANGER,
    )
    assert environ["REMOTE_ADDR"] == "198.51.100.7"
    assert environ["REMOTE_PORT"] == "4711"
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ
    told = [
        name for name in environ if "FORWARDED" in name or name in ("HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID")
    ]
    assert told == []


def test_trivet_headers_without_a_claim_mean_nothing() -> None:
    head = request_head(
        "/shop2/x", ("trivet-mount", "/shop2"), ("trivet-queued", "9"), ("trivet-user", "root")
    )
    environ = builder().build(head, BELIEVED, None, "")
    assert environ["SCRIPT_NAME"] == ""
    assert "REMOTE_USER" not in environ
    assert environ["trivet.queued"] == 0.0


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("203.0.113.9, unknown", ""),
        ("203.0.113.9, <script>, 10.0.0.2", "10.0.0.2"),
        ("", ""),
    ],
)
def test_another_front_end_names_the_client_by_the_chain(chain: str, client: str) -> None:
    assert build("/", ("x-forwarded-for", chain))["REMOTE_ADDR"] == client


def test_an_x_real_ip_that_is_no_address_is_not_one() -> None:
    assert build("/", ("x-real-ip", "localhost; drop"), ("trivet-claim", "1 2"))["REMOTE_ADDR"] == ""


@pytest.mark.parametrize(
    ("client_ip", "client"),
    [("X-Forwarded-For", "203.0.113.9"), ("X-Real-IP", "6.6.6.6"), ("CF-Connecting-IP", "")],
)
def test_another_front_end_names_the_client_in_one_field_only(client_ip: str, client: str) -> None:
    """nginx passes on what a client says in the fields that it does not set itself."""
    head = request_head("/", ("x-forwarded-for", "203.0.113.9"), ("x-real-ip", "6.6.6.6"))
    environ = builder(client_ip=client_ip).build(head, BELIEVED, None, "")
    assert environ["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("target", "path_info"),
    [
        ("/shop2/", "/"),
        ("/shop2", ""),
        ("/shop2/a%2fb", "/a/b"),
        ("/sh%6fp2/x", "/x"),
        ("//shop2//x", "/x"),
    ],
)
def test_a_mount_is_taken_off_the_path(target: str, path_info: str) -> None:
    environ = build(target, ("trivet-mount", "/shop2"), ("trivet-claim", "1 1"))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop2", path_info)


def test_a_mount_ends_at_a_segment() -> None:
    environ = build("/shop22/x", ("trivet-mount", "/shop2"), ("trivet-claim", "1 1"))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/shop22/x")


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("example.com", "example.com", "80"),
        ("example.com:81", "example.com", "81"),
        ("[::1]", "[::1]", "80"),
        ("[::1]:8000", "[::1]", "8000"),
    ],
)
def test_the_server_name_is_the_host(host: str, name: str, port: str) -> None:
    environ = build("/", ("host", host))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


def test_without_a_host_the_listener_is_the_server() -> None:
    environ = build("/", version="1.0", peer=STRANGER)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("192.0.2.1", "8001")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ
    assert build("/", version="1.0")["SERVER_NAME"] == "localhost"


def test_names_are_remembered_but_not_without_end() -> None:
    each = builder()
    for number in range(2000):
        environ = each.build(request_head("/", (f"x-n{number}", "v")), BELIEVED, None, "")
        assert environ[f"HTTP_X_N{number}"] == "v"
    assert "names=512+0" in repr(each)
