"""Header fields of a request that say who asks, or for what: whose word counts for them.

Owns the names. Knows no request; what goes on to an upstream is forwarded.py's matter.
"""

from trivet_common.http1.fields import REBUILT

# Always ours, whoever sends them: who the client is, what this request is called,
# orders to a server to send a file (CVE-2025-61780), another target than the one that was routed, the
# variable HTTP_PROXY.
OURS = REBUILT | frozenset(
    b"forwarded proxy x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-real-ip "
    b"x-request-id x-original-url x-rewrite-url x-original-uri x-original-host x-original-method "
    b"x-http-destinationurl x-scheme x-url-scheme x-forwarded-scheme x-forwarded-protocol x-forwarded-ssl "
    b"front-end-https".split()
)
OURS_PREFIXES = (b"trivet-", b"x-accel-", b"x-sendfile")
# A proxy in front of us may say these; a client may not.
PEERS = frozenset(
    b"x-client-ip true-client-ip cf-connecting-ip x-cluster-client-ip fastly-client-ip fly-client-ip "
    b"x-original-forwarded-for x-remote-user x-remote-addr x-client-cert x-client-verify "
    # Of services that log people in, believed by applications: Authelia, Authentik, oauth2-proxy.
    b"remote-user remote-groups remote-name remote-email x-webauth-user".split()
)
PEERS_PREFIXES = (b"x-forwarded-", b"x-ssl-", b"x-auth-request-", b"x-authentik-")


def is_claim(name: bytes) -> bool:
    """Whether it counts for nothing, of a peer that is not trusted.

    Routes and rates that went by one would go by what anybody makes up, and no application ever sees it.
    """
    if name in REBUILT:
        return False  # Upgrade or TE say something of this hop
    return name in OURS or name in PEERS or name.startswith((*OURS_PREFIXES, *PEERS_PREFIXES))
