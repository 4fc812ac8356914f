"""The environ of PEP 3333 out of a request head.

Owns which header becomes which variable, and where client address, scheme and server name come from for a
peer that is believed and for one that is not. Knows nothing of sockets, bodies or claims.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from trivet_backend.proxys_head import ClaimedHead, RegularsHead
from trivet_backend.regulars import Field, Fields, Regulars
from trivet_common.http1.request import RequestHead

Environ = dict[str, Any]

# Names a client may choose freely are remembered, but not without end.
_REMEMBERED = 512
_LONGEST_NAME = 256

# What only a believed peer may say. `forwarded` (RFC 7239) is on the list although we do not write it:
# frameworks read it.
_ONLY_BELIEVED_PREFIXES = ("x-forwarded-", "x-accel-", "x-sendfile")
_ONLY_BELIEVED = {
    "x-real-ip", "x-request-id", "forwarded", "x-client-ip", "true-client-ip", "x-scheme",
    "x-original-url", "x-rewrite-url",
}  # fmt: skip
# Of the connection, not of the request (RFC 9110, 7.6.1), and `proxy` (CVE-2016-5385: HTTP_PROXY).
_NEVER = {
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    "http2-settings", "expect", "proxy",
}  # fmt: skip
_OWN_VARIABLE = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class Peer(NamedTuple):
    """Who sent the bytes. `address` is "" for a Unix socket."""

    address: str
    port: int
    is_believed: bool
    # Of the listener: for a request that names no host.
    server_name: str = "localhost"
    server_port: int = 0


# On a slot's own socket.
OUR_PROXY = Peer("", 0, True)


class EnvironBuilder:
    """Builds environs for the slots of one worker. `is_proxy` says whether an address may be a proxy of ours;
    `client_ip` is the one field in which others than our own proxy name the client."""

    __slots__ = (
        "_base", "_believed_names", "_client_variable", "_foreign_names", "_is_proxy", "regulars",
    )  # fmt: skip

    def __init__(
        self,
        *,
        errors: Any,
        threads: int,
        workers: int,
        file_wrapper: Callable[..., Any],
        is_proxy: Callable[[str | None], bool],
        client_ip: str = "X-Forwarded-For",
    ) -> None:
        self._base: Environ = {
            "wsgi.version": (1, 0),
            "wsgi.errors": errors,
            "wsgi.multithread": threads > 1,
            "wsgi.multiprocess": workers > 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": file_wrapper,
            "wsgi.input_terminated": True,
            "wsgi.url_scheme": "http",
            "SCRIPT_NAME": "",
            "SERVER_SOFTWARE": "trivet",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "",
            "trivet.queued": 0.0,
            "trivet.deadline": None,
            # Of each request; here already, so that a copy has room for them.
            "REQUEST_METHOD": "",
            "RAW_URI": "",
            "REQUEST_URI": "",
            "QUERY_STRING": "",
            "PATH_INFO": "",
            "wsgi.input": None,
            "trivet.request_id": "",
        }
        self._believed_names: dict[bytes, str] = {}
        self._foreign_names: dict[bytes, str] = {}
        self._is_proxy = is_proxy
        self._client_variable = _variable(client_ip)
        self.regulars = Regulars(self._template)

    def __repr__(self) -> str:
        return f"<EnvironBuilder names={len(self._believed_names)}+{len(self._foreign_names)}>"

    def build(self, head: RequestHead, peer: Peer, body: Any, request_id: str) -> Environ:
        """The environ of a request whose body is `body` (a file-like object).

        trivet-* is read of a ClaimedHead only.
        """
        if isinstance(head, RegularsHead):
            environ = head.template.copy()
            environ["HTTP_X_REQUEST_ID"] = request_id
            if head.content_length is not None:
                environ["CONTENT_LENGTH"] = str(head.content_length)
        else:
            environ = self._read(head, peer)
        environ["REQUEST_METHOD"] = head.method.decode("latin-1")
        environ["RAW_URI"] = environ["REQUEST_URI"] = head.target.decode("latin-1")
        if head.query:
            environ["QUERY_STRING"] = head.query.decode("latin-1")
        path = head.raw_path
        if b"%" in path:
            path = unquote_to_bytes(path)
        environ["PATH_INFO"] = path.decode("latin-1")
        environ["wsgi.input"] = body
        environ["trivet.request_id"] = request_id
        if isinstance(head, ClaimedHead):
            if head.queued:
                environ["trivet.queued"] = head.queued
            if b"trivet-mount" in head.orders:
                _mount(environ, head, head.orders[b"trivet-mount"].decode("latin-1").rstrip("/"))
        return environ

    def _read(self, head: RequestHead, peer: Peer) -> Environ:
        """What the fields say."""
        environ = self._base.copy()
        if head.is_http10:
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        self._take_headers(environ, head.headers, peer.is_believed)
        for name in head.hop_by_hop:
            environ.pop(_variable(name.decode("latin-1")), None)
        if head.authority:
            environ["HTTP_HOST"] = head.authority.decode("latin-1")
        if isinstance(head, ClaimedHead):
            self._place(environ, peer, "HTTP_X_REAL_IP")
            _take_user(environ, head.orders)
        else:
            self._place(environ, peer, self._client_variable)
        return environ

    def _template(self, fields: list[Field], said: Fields) -> Environ:
        """The same of the steady fields of our own proxy's heads."""
        environ = self._base.copy()
        self._take_headers(environ, fields, True)
        if said[b"host"]:
            environ["HTTP_HOST"] = said[b"host"].decode("latin-1")
        self._place(environ, OUR_PROXY, "HTTP_X_REAL_IP")
        _take_user(environ, said)
        environ["HTTP_X_REQUEST_ID"] = ""
        return environ

    def _take_headers(self, environ: Environ, fields: list[Field], is_believed: bool) -> None:
        names = self._believed_names if is_believed else self._foreign_names
        environ[""] = ""  # what the application must not see is there already
        for name, value in fields:
            key = names.get(name)
            if key is None:
                key = self._learn(names, name, is_believed)
            if key not in environ:
                environ[key] = value.decode("latin-1")
            elif key:
                # RFC 9110, 5.3; cookies are the exception (RFC 6265, 5.4).
                environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + value.decode("latin-1")
        del environ[""]

    def _learn(self, names: dict[bytes, str], name: bytes, is_believed: bool) -> str:
        """The variable of a header, "" for one the application must not see."""
        text = name.decode("latin-1")
        is_hidden = text in _NEVER or text.startswith("trivet-") or not text.replace("-", "").isalnum()
        if not is_believed:
            is_hidden = is_hidden or text in _ONLY_BELIEVED or text.startswith(_ONLY_BELIEVED_PREFIXES)
        key = "" if is_hidden or not text.isascii() else _variable(text)
        if len(names) < _REMEMBERED and len(name) < _LONGEST_NAME:
            names[name] = key
        return key

    def _place(self, environ: Environ, peer: Peer, client_variable: str) -> None:
        """Client, scheme and server name."""
        scheme, port = "http", ""
        environ["REMOTE_ADDR"] = peer.address
        if peer.port:
            environ["REMOTE_PORT"] = str(peer.port)
        if peer.is_believed:
            environ["REMOTE_ADDR"] = address = self._client(environ.get(client_variable, ""), peer.address)
            if address != peer.address:
                environ.pop("REMOTE_PORT", None)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "http")
            port = environ.get("HTTP_X_FORWARDED_PORT", "")
        if scheme == "https":
            environ["wsgi.url_scheme"] = "https"
            environ["HTTPS"] = "on"
        name, said = _split_host(environ.get("HTTP_HOST", ""))
        environ["SERVER_NAME"] = name or peer.server_name
        if not port.isdecimal():
            port = said or (str(peer.server_port) if peer.server_port and not name else "")
        environ["SERVER_PORT"] = port or ("443" if scheme == "https" else "80")

    def _client(self, chain: str, fallback: str) -> str:
        """Who asked, by the word of a believed peer: the last stranger of the field that is to be believed.

        That field alone: a front end that sets one lets a client's other ones through.
        """
        for hop in reversed(chain.split(",")[-32:]):
            hop = hop.strip()
            if not _is_address(hop):
                break  # garbage: whoever stands left of it may be invented
            fallback = hop
            if not self._is_proxy(hop):
                break
        return fallback


def said_timeout(fields: Fields, otherwise: int) -> int:
    """What our proxy says when a route's timeout is not the pool's, in nanoseconds; 0: none."""
    said = fields.get(b"trivet-timeout")
    if said is None or not said.isdigit() or len(said) > 12:
        return otherwise
    return int(said) * 1_000_000


def _take_user(environ: Environ, said: Fields) -> None:
    """Who has logged in at our proxy."""
    user = said.get(b"trivet-user")
    if user:
        environ["REMOTE_USER"] = user.decode("latin-1")


def _mount(environ: Environ, head: RequestHead, prefix: str) -> None:
    path = environ["PATH_INFO"]
    if not (path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/")):
        # The route was matched on the merged form (`//shop2/x`): then that is the path.
        path = head.path.decode("latin-1")
    if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
        environ["SCRIPT_NAME"] = prefix
        environ["PATH_INFO"] = path[len(prefix) :]


def _variable(name: str) -> str:
    return _OWN_VARIABLE.get(name) or "HTTP_" + name.upper().replace("-", "_")


def _split_host(host: str) -> tuple[str, str]:
    """`[::1]:80` -> ("[::1]", "80"). The gate has seen to it that there is no third form."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, ""
    return name, port


@lru_cache(maxsize=1024)  # clients come back; a flood of others only misses
def _is_address(text: str) -> bool:
    if not text or len(text) > 45:
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
