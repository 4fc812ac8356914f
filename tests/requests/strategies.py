"""Writes requests for hypothesis, and spoils them. Knows no parser of ours, no socket."""

from hypothesis import strategies as st

from tests.requests import pieces
from tests.requests.corpus import Entry, accepted, refused

ENTRIES: list[Entry] = [entry for entry in accepted() + refused() if len(entry.data) < 2000]

methods = st.sampled_from(pieces.METHODS)
targets = st.one_of(st.sampled_from(pieces.TARGETS), st.binary(max_size=12).map(lambda tail: b"/" + tail))
versions = st.sampled_from(pieces.VERSIONS)
spaces = st.sampled_from(pieces.SPACES)
line_ends = st.sampled_from(pieces.LINE_ENDS)
names = st.sampled_from(pieces.NAMES) | st.binary(max_size=6)
values = st.sampled_from(pieces.VALUES) | st.binary(max_size=8)
chunks = st.sampled_from(pieces.CHUNKS)
bodies = st.lists(chunks, max_size=4).map(b"".join) | st.binary(max_size=20)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Bytes of the shape of a request, most of them wrong in one place or two."""
    line = draw(methods) + draw(spaces) + draw(targets) + draw(spaces) + draw(versions) + draw(line_ends)
    fields = [b"Host: a.example\r\n"] if draw(st.integers(0, 5)) else []
    for _ in range(draw(st.integers(0, 4))):
        colon = draw(st.sampled_from(pieces.COLONS))
        fields.append(draw(names) + colon + draw(values) + draw(line_ends))
    draw(st.randoms(use_true_random=False)).shuffle(fields)
    return line + b"".join(fields) + draw(line_ends) + draw(bodies)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """An entry of the corpus with bytes cut out, doubled or put in, perhaps with another entry behind it."""
    data = bytearray(draw(st.sampled_from(ENTRIES)).data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from([*pieces.INSERTED, bytes(data[at:end]) * 2]))
        data[at:end] = piece
    if draw(st.booleans()):
        data += draw(st.sampled_from(ENTRIES)).data
    return bytes(data)


connections = st.lists(requests(), min_size=1, max_size=3).map(b"".join) | spoilt()

status_lines = st.sampled_from(
    b"HTTP/1.1 200 OK|HTTP/1.1 200|HTTP/1.0 404 Not Found|HTTP/1.1 204 |HTTP/1.1 304 X|HTTP/1.1 100 Continue|"
    b"HTTP/1.1 999 X|HTTP/2.0 200 OK|RTSP/1.0 200 OK|HTTP/1.1 20 X|http/1.1 200 OK|HTTP/1.1\t200 OK".split(
        b"|"
    )
)
answer_fields = st.sampled_from(
    b"Content-Length: 5|Content-Length: +5|Transfer-Encoding: chunked|Transfer-Encoding: chunked|"
    b"Connection: close|Transfer-Encoding: gzip|X_Y: \xff|Set-Cookie: a=b|no colon|a b: c| folded|"
    b": empty|NUL: \x00".split(b"|")
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Bytes of the shape of a response, some of them wrong."""
    data = draw(status_lines) + draw(line_ends)
    for field in draw(st.lists(answer_fields, max_size=3)):
        data += field + draw(line_ends)
    return data + b"\r\n" + draw(bodies)
