"""`basic_auth`: a name and a password (RFC 7617), and what the application is told of it.

Owns the credentials' form and the challenge. Knows no hash (passwords.py).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from trivet_common.config.settings_access import BasicAuth
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse

from ..origin import origin_of
from ..passwords import Passwords
from ..route import Handler

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

USER = b"x-remote-user"
_AUTHORIZATION = b"authorization"
_LONGEST = 2048  # bytes of a field


def basic_auth_gate(settings: BasicAuth, passwords: Passwords, inner: Handler) -> Handler:
    mark = ("basic_auth", settings)
    challenge = b'Basic realm="%b", charset="UTF-8"' % settings.realm.encode("ascii")
    hidden = frozenset({USER} if settings.forward else {USER, _AUTHORIZATION})

    def unauthorized() -> HttpError:
        return refuse("unauthorized", headers=((b"www-authenticate", challenge),))

    async def ask_password(request: Request, writer: ResponseWriter) -> None:
        if mark not in request.passed:
            said = [value for name, value in request.head.headers if name == _AUTHORIZATION]
            found = read_credentials(said[0]) if len(said) == 1 else None
            if found is None:
                raise unauthorized()
            user, password = found
            if not await passwords.accepts(user, password, origin_of(request.client.address)):
                raise unauthorized()
            request.passed += (mark,)
            request.user = user
            request.hidden |= hidden
            request.added = (*(field for field in request.added if field[0] != USER), (USER, user))
        await inner(request, writer)

    return ask_password


def read_credentials(value: bytes) -> tuple[bytes, bytes] | None:
    """Name and password; None for what are none. RFC 7617, 2: neither holds a control character."""
    scheme, _, coded = value.partition(b" ")
    if scheme.lower() != b"basic" or len(value) > _LONGEST:
        return None
    try:
        plain = base64.b64decode(coded.strip(b" "), validate=True)
    except binascii.Error:
        return None
    user, colon, password = plain.partition(b":")
    if not colon or not user or any(byte < 0x20 or byte == 0x7F for byte in plain):
        return None
    return user, password
