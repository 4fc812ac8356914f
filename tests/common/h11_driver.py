"""The second opinion: what h11 makes of the bytes of one request."""

import h11

from tests.requests.corpus import Request


def read_one(data: bytes) -> tuple[Request, set[bytes]] | str:
    """The request and the names of its fields, or what h11 says against it or would wait for."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1024 * 1024)
    try:
        connection.receive_data(data)
        head = connection.next_event()
        if not isinstance(head, h11.Request):
            return f"no head but {head}"
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError as refused:
        return str(refused)
    if not isinstance(event, h11.EndOfMessage) or connection.trailing_data[0]:
        return f"no end but {event}, and then {connection.trailing_data[0]!r}"
    return Request(head.method, head.target, body), {name for name, _ in head.headers}
