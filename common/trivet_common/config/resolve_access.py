"""Who may come in by a route: its own keys over those of `defaults`, and what of it cannot work."""

import re
from typing import Any

from .addresses import Network, parse_network, parse_networks, parse_server
from .draft import Draft
from .fields import FIELD_VALUE
from .hints import close_name
from .htpasswd import LARGEST, parse_htpasswd
from .model_access import AccessKeys, BasicAuthKeys, ForwardAuthKeys
from .nodes import Loc
from .problems import Mistake, Place, shown
from .reach import why_not_a_file
from .settings import PLACEHOLDERS, ServerTls, Upstream
from .settings_access import Access, BasicAuth, Doorkeeping, ForwardAuth, RateLimit

_URL = re.compile(r"(https?://[^/?#@\s]+)(/[^#\s]*)?\Z")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# A service that is asked cannot say these to the application: who the client is, is ours to say, and what
# belongs to a connection or to a body is of its own answer.
_NOT_COPIED = frozenset(
    [
        "connection", "content-length", "content-type", "date", "expect", "forwarded", "host", "keep-alive",
        "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "x-forwarded-for",
        "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip", "x-request-id",
    ]
)  # fmt: skip
# Addresses of clients: even a proxy that is believed passes on what stood in front of its own word.
_WHO_IT_IS = frozenset(["forwarded", "x-forwarded-for", "x-real-ip"])
_NOT_COPIED_PREFIXES = ("trivet-", "x-accel-", "x-sendfile")


def resolve_access(
    own: AccessKeys, defaults: AccessKeys, route_id: str, draft: Draft, loc: Loc
) -> Access | None:
    """What holds for one route; None where nothing does."""
    access = _Maker(own, defaults, route_id, draft, loc).make()
    return access or None


class _Maker:
    """One route."""

    def __init__(self, own: AccessKeys, defaults: AccessKeys, route_id: str, draft: Draft, loc: Loc) -> None:
        self._own = own
        self._defaults = defaults
        self._route_id = route_id
        self._draft = draft
        self._loc = loc

    def make(self) -> Access:
        return Access(
            doorkeeping=self._doorkeeping(),
            rate_limits=self._rate_limits(),
            basic_auth=self._basic_auth(),
            forward_auth=self._forward_auth(),
        )

    def _written(self, key: str) -> tuple[Any, Loc]:
        """The value that holds, and where it stands."""
        if key in self._own.model_fields_set:
            return getattr(self._own, key), (*self._loc, key)
        return getattr(self._defaults, key), ("defaults", key)

    def _doorkeeping(self) -> Doorkeeping | None:
        rules: dict[Network | None, bool] = {}
        allowed = self._places("allow")
        for place in allowed:
            rules[place] = True
        for place in self._places("deny"):
            rules[place] = False
        if not rules:
            return None
        order = sorted(rules.items(), key=lambda rule: -999 if rule[0] is None else -rule[0].prefixlen)
        return Doorkeeping(tuple(order), otherwise=not allowed)

    def _places(self, key: str) -> list[Network | None]:
        words, loc = self._written(key)
        found: list[Network | None] = []
        for index, word in enumerate(words or ()):
            try:
                found += _places_of(word)
            except Mistake as mistake:
                self._draft.report((*loc, index), mistake)
        return found

    def _rate_limits(self) -> tuple[RateLimit, ...]:
        written, loc = self._written("rate_limit")
        scope = "defaults" if loc[0] == "defaults" else self._route_id
        limits = []
        for index, keys in enumerate(written):
            count, period = keys.rate
            header = keys.key.partition(":")[2].lower() or None
            self._check_rate_key(header, loc)
            burst = count - 1 if keys.burst is None else keys.burst
            limits.append(RateLimit(f"{scope} {index}", count, period, burst, header))
        if len(limits) > 8:
            self._draft.mistake(loc, "more than 8 rates for one route", "keep those that matter")
        return tuple(limits)

    def _check_rate_key(self, header: str | None, loc: Loc) -> None:
        if header in _WHO_IT_IS:
            self._draft.mistake(
                loc,
                f'"header:{header}" is what anybody may write',
                "write key: client, which is who trusted_proxies say it is",
            )
        elif header is not None and "_" in header:
            self._draft.mistake(loc, "headers with _ are dropped", f"write header:{header.replace('_', '-')}")

    def _says_nothing(self, keys: BasicAuthKeys | ForwardAuthKeys, loc: Loc) -> bool:
        """Off; an empty mapping could be thought to be a door that is shut."""
        if keys.model_fields_set:
            return False
        node = self._draft.tree.at(loc)
        if node.value == {} and not node.is_cut:
            self._draft.mistake(loc, "this asks for nothing", "write what is asked, or off")
        return True

    def _basic_auth(self) -> BasicAuth | None:
        keys, loc = self._written("basic_auth")
        if keys is None or self._says_nothing(keys, loc):
            return None
        assert isinstance(keys, BasicAuthKeys)
        if keys.file is None:
            self._draft.mistake(loc, "file is missing", "write basic_auth: FILE")
            return None
        where = (*loc, "file") if self._draft.tree.has(*loc, "file") else loc
        path = self._draft.path(keys.file, *where)
        if self._draft.checks_front:
            if reason := why_not_a_file(path):
                self._draft.trouble(where, reason, f"htpasswd -B -c {shown(keys.file)} NAME makes one")
            else:
                _check_htpasswd(path, where, self._draft)
        return BasicAuth(path, keys.realm, keys.forward)

    def _forward_auth(self) -> ForwardAuth | None:
        keys, loc = self._written("forward_auth")
        if keys is None or self._says_nothing(keys, loc):
            return None
        assert isinstance(keys, ForwardAuthKeys)
        self._check_copied(keys, loc)
        self._check_redirect(keys, loc)
        common: dict[str, Any] = {
            "copy": tuple(dict.fromkeys(name.lower() for name in keys.copy_)),
            "redirect": keys.redirect,
            "timeout": keys.timeout,
        }
        if keys.url is not None:
            return self._ask_server(keys, loc, common)
        if keys.pool is None:
            self._draft.mistake(loc, "it asks nobody", 'write url: "http://host:port/path", or pool and path')
            return None
        pools = self._draft.names["pools"]
        if keys.pool not in pools:
            hint = close_name(keys.pool, pools) or "write it below pools:"
            self._draft.mistake((*loc, "pool"), f"there is no pool {shown(keys.pool)}", hint)
        if not keys.path.startswith("/") or not _is_target(keys.path):
            self._draft.mistake((*loc, "path"), f'"{shown(keys.path)}" is not a path', "begin it with /")
        return ForwardAuth(keys.path, pool=keys.pool, **common)

    def _ask_server(self, keys: ForwardAuthKeys, loc: Loc, common: dict[str, Any]) -> ForwardAuth | None:
        where = (*loc, "url") if self._draft.tree.has(*loc, "url") else loc
        found = _URL.match(keys.url or "")
        if keys.pool is not None:
            self._draft.mistake((*loc, "pool"), "it asks url already", "keep one of the two")
        if "path" in keys.model_fields_set:
            self._draft.mistake((*loc, "path"), "the path stands in url", "take it out")
        if not found or not _is_target(found[2] or "/"):
            self._draft.mistake(
                where, f'"{shown(keys.url)}" is not a URL', 'write for example "http://127.0.0.1:9091/verify"'
            )
            return None
        try:
            server = parse_server(found[1], self._draft.tree.at(where).folder)
        except Mistake as mistake:
            self._draft.report(where, mistake)
            return None
        upstream = Upstream(
            f"forward_auth {found[1]}", (server,), ServerTls(),
            connect_timeout=min(keys.timeout, 5.0), response_timeout=keys.timeout, read_timeout=keys.timeout,
        )  # fmt: skip
        host = found[1].partition("://")[2]
        return ForwardAuth(found[2] or "/", upstream=upstream, host=host, **common)

    def _check_copied(self, keys: ForwardAuthKeys, loc: Loc) -> None:
        for name in keys.copy_:
            if name.lower() in _NOT_COPIED or name.lower().startswith(_NOT_COPIED_PREFIXES):
                self._draft.mistake((*loc, "copy"), f"{shown(name)} cannot be copied", "take it out")
            elif not name.replace("-", "").isalnum():
                self._draft.mistake(
                    (*loc, "copy"),
                    f"{shown(name)}: applications cannot tell such a name from others",
                    "write letters, digits and -",
                )

    def _check_redirect(self, keys: ForwardAuthKeys, loc: Loc) -> None:
        to, where = keys.redirect, (*loc, "redirect")
        if to is None:
            return
        for name in _PLACEHOLDER.findall(to):
            if name not in PLACEHOLDERS:
                known = " ".join(f"{{{word}}}" for word in PLACEHOLDERS)
                self._draft.mistake(where, f"there is no placeholder {{{shown(name)}}}", f"there are {known}")
        if not re.match(r"/(?![/\\])|https?://[^/{]", to):
            self._draft.mistake(
                where, f'"{shown(to)}" is neither a path nor a URL', "write /path or https://host/path"
            )
        elif not FIELD_VALUE.match(to) or " " in to:
            self._draft.mistake(
                where, "a URL has neither spaces nor letters beyond ASCII", "write them as %XX"
            )


def _places_of(word: str) -> list[Network | None]:
    """Raises Mistake."""
    if word == "all":
        return [parse_network("0.0.0.0/0"), parse_network("::/0"), None]
    if word in ("unix", "unix:"):
        return [None]
    if word in ("off", "any", "*", "none"):
        raise Mistake(f'"{word}" is not a network', "write all, or off in the place of the list")
    return list(parse_networks([word]).networks)


def _is_target(path: str) -> bool:
    return bool(re.fullmatch(r"[!-~]{1,2000}", path)) and "#" not in path


def _check_htpasswd(path: Any, loc: Loc, draft: Draft) -> None:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        draft.trouble(loc, f"{shown(path)} cannot be read ({error.strerror})")
        return
    if len(data) > LARGEST:
        draft.trouble(loc, f"{shown(path)} is larger than {LARGEST} bytes", "is it the right file?")
        return
    entries, flaws = parse_htpasswd(data)
    if draft.is_restart:
        return  # the gate says it once more, and lets in whom it can
    for flaw in flaws:
        # At its own line: that is where it is mended.
        draft.findings.mistake(
            Place(draft.place(*loc).order, str(path), flaw.line), f"basic_auth: {flaw.message}", flaw.hint
        )
    if not entries and not flaws:
        draft.warning(loc, f"nobody stands in {shown(path)}", f"htpasswd -B {shown(path)} NAME")
