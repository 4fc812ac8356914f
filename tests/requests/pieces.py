"""What written requests are made of: mostly right pieces, and the wrong ones that fooled somebody once.

Repeated entries are there for their weight. Knows neither hypothesis nor our parser.
"""

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"TRACE", b"get", b"CONNECT", b"BREW"]
TARGETS = [
    b"/",
    b"/a/b?c=d",
    b"*",
    b"http://a.example/x",
    b"/%2e%2e/",
    b"//",
    b"/a%20b",
    b"/?{}",
    b"a",
    b"/#",
    b"/%",
]
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"http/1.1", b""]
SPACES = [b" "] * 12 + [b"  ", b"\t", b"", b"\x0b", b"\xa0"]
LINE_ENDS = [b"\r\n"] * 16 + [b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\x00\r\n"]
COLONS = [b": "] * 8 + [b":", b" : ", b""]
NAMES = (
    b"Host Host Content-Length Content-Length Transfer-Encoding Connection Upgrade Expect Accept Cookie X-A "
    b"X_Forwarded_For content_length TRANSFER-ENCODING hOST Proxy X-Accel-Redirect Trailer TE"
).split()
VALUES = (
    b"a.example|b.example|5|0|+5|5, 5||chunked|Chunked |gzip, chunked|identity|close|keep-alive|upgrade|"
    b"websocket|100-continue|\tx \t|\xff|a b|[::1]:80"
).split(b"|")
CHUNKS = [b"5\r\nhello\r\n", b"1;a=b\r\nx\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"5\nhello\n", b"-1\r\n"]
INSERTED = [b"\r\n", b"\n", b"\r", b" ", b"\x00", b":", b"0", b",", b"\t", b""]
