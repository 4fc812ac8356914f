"""Which header fields belong to a connection, which are ours alone, and which never matter to the gate.

All names are lower-cased bytes, here and on the wire (as in HTTP/2, Envoy and HAProxy's HTX).
"""

# RFC 9110, 7.6.1, and Trailer and HTTP2-Settings, which mean nothing once we have dropped trailers and h2c.
# Proxy-Authenticate and Proxy-Authorization are not here: they concern forward proxies (RFC 9110, 11.7), and
# a gateway such as this one is an origin server to its clients.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)

# A forwarder leaves all of these out and writes its own: what frames and addresses a message is ours to say.
REBUILT = HOP_BY_HOP | {b"host", b"content-length", b"expect"}

# A Connection field may not take these away: a hop behind us would frame or route the message differently
# (CVE-2022-31813 for the idea).
NOT_NOMINATED = frozenset({b"host", b"content-length", b"transfer-encoding"})

# Never believed from a client. Proxy becomes HTTP_PROXY in CGI's children (CVE-2016-5385); the others tell a
# server to send a file (CVE-2025-61780).
REFUSED_NAMES = frozenset({b"proxy"})
REFUSED_PREFIXES = (b"x-accel-", b"x-sendfile")

# Looked at by the gate.
JUDGED = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"})

# Known to be harmless, so that the ordinary head is decided by one set look-up a field.
COMMON = frozenset(
    (
        b"accept accept-charset accept-encoding accept-language access-control-request-headers "
        b"access-control-request-method authorization cache-control content-encoding content-language "
        b"content-type cookie dnt if-match if-modified-since if-none-match if-range if-unmodified-since "
        b"keep-alive origin pragma priority range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
        b"sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-extensions "
        b"sec-websocket-key sec-websocket-protocol sec-websocket-version te trailer trivet-claim "
        b"upgrade-insecure-requests user-agent via x-csrf-token x-csrftoken x-forwarded-for "
        b"x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip x-request-id x-requested-with "
    ).split()
)
