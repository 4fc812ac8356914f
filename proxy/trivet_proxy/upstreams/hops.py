"""How often a request came through here: an upstream that leads back to us would be asked without end.

As RFC 8586 has it: CDN-Loop names those on the way, and unlike Via it changes nothing else (nginx compresses
nothing for whoever sends that). Who forges it harms its own request only, so nobody need be believed.
"""

from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead

NAME, _US = b"cdn-loop", b"trivet"
LINE = b"\r\n%b: %b" % (NAME, _US)
# Chains of proxies are shorter, also where a forward_auth or a route leads to another route of the same site.
MOST = 8


def judge_hops(head: RequestHead) -> None:
    """Raises HttpError upstream_loop."""
    hops = 0
    for name, value in head.headers:
        if name == NAME:
            hops += sum(place.partition(b";")[0].strip(b" \t") == _US for place in value.lower().split(b","))
    if hops >= MOST:
        raise refuse("upstream_loop", f"It has come through {hops} times: the upstream leads back here.")
