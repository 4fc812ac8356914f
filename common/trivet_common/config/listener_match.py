"""Which listeners a route is for, and whether a listener that asks for certificates is a way around for none.

Routes hold for all listeners unless they say otherwise, so what one listener asks of its clients protects
only routes that name it.
"""

from collections.abc import Iterator

from .addresses import Listen, TrustedProxies, parse_listen
from .draft import Draft
from .hints import close_name
from .matching import hosts_cover, path_covers
from .model_listen import ListenKeys
from .nodes import Loc
from .problems import Mistake, shown
from .settings import Route


def resolve_listener(
    words: tuple[str, ...], listeners: tuple[ListenKeys, ...], draft: Draft, loc: Loc
) -> tuple[str, ...]:
    """The addresses, as the listeners have them, of those a route names."""
    found = []
    for index, word in enumerate(words):
        address = _address_of(word, listeners, draft, loc)
        if address is None:
            names = [keys.name for keys in listeners if keys.name] or [keys.address for keys in listeners]
            hint = close_name(word, names) or f"there is {', '.join(map(shown, names))}"
            draft.mistake((*loc, index), f"there is no listener {shown(word)}", hint)
        else:
            found.append(address)
    return tuple(dict.fromkeys(found))


def check_names(listeners: tuple[ListenKeys, ...], draft: Draft, loc: Loc) -> None:
    """A name stands for one listener."""
    taken: set[str] = {keys.address for keys in listeners}
    for index, keys in enumerate(listeners):
        if keys.name is not None and keys.name in taken:
            draft.mistake(
                (*loc, index, "name"),
                f"{shown(keys.name)} is another listener already",
                "choose another",
            )
        taken.add(keys.name or keys.address)


def warn_of_no_https(
    listeners: tuple[Listen, ...], trusted: TrustedProxies, routes: tuple[Route, ...], draft: Draft
) -> None:
    """Where every request is one over http, whatever the client used: what is for https is never reached."""
    if trusted != TrustedProxies() or any(listen.scheme == "https" for listen in listeners):
        return
    cure = "write trusted_proxies: [networks] for who speaks https in front, or tls: below a listener"
    for index, route in enumerate(routes):
        if route.scheme == "https":
            what = "no listener speaks https, and nobody is trusted to say that a client does"
            draft.warning(("routes", index, "scheme"), what, cure)
        elif route.scheme == "http" and _is_to_itself(route) and route is not routes[-1]:
            what = "all requests are http here: behind somebody who speaks https this leads in a circle"
            draft.warning(("routes", index, "redirect"), what, cure)


def warn_of_other_ways(listeners: tuple[Listen, ...], routes: tuple[Route, ...], draft: Draft) -> None:
    """Where a certificate is required, and what is served there is served elsewhere without one."""
    for index, guarded in enumerate(listeners):
        if guarded.tls is None or guarded.tls.client != "required":
            continue
        if any(guarded.address in route.listener for route in routes):
            continue  # who says what is for it knows that the rest is not
        ways = [
            (route, other)
            for other in listeners
            if other.tls is None or other.tls.client != "required"
            for route in _reached(other, routes)
        ]
        if ways:
            route, other = ways[0]
            count = len({route.where for route, _ in ways})
            reached = f"and {count - 1} more are reached" if count > 1 else "is reached"
            draft.warning(
                ("listen", index, "tls", "client"),
                f"the route for {shown(route.id)} ({route.where}) {reached} by {shown(other.name or other)} "
                "without a certificate",
                f"write listener: {shown(guarded.name or guarded.address)} in what it is to protect",
            )


def _is_to_itself(route: Route) -> bool:
    return route.redirect is not None and route.redirect.to.startswith("https://{host}")


def _reached(listen: Listen, routes: tuple[Route, ...]) -> Iterator[Route]:
    """What answers with something of the site's own there: one route may hide another."""
    before: list[Route] = []
    for route in routes:
        if (route.listener and listen.address not in route.listener) or route.internal:
            continue
        if route.scheme not in (None, listen.scheme):
            continue
        hidden = any(
            hosts_cover(one.host, route.host) and path_covers(one.path, route.path) for one in before
        )
        if not hidden and (route.pool or route.upstream or route.files or route.file):
            yield route
        if route.is_sure:
            before.append(route)


def _address_of(word: str, listeners: tuple[ListenKeys, ...], draft: Draft, loc: Loc) -> str | None:
    for keys in listeners:
        if word in (keys.name, keys.address):
            return keys.address
    try:
        meant = _place(word, draft, loc)
        return next((keys.address for keys in listeners if _place(keys.address, draft, loc) == meant), None)
    except Mistake:
        return None


def _place(address: str, draft: Draft, loc: Loc) -> tuple[object, ...]:
    listen = parse_listen(address, draft.tree.at(loc).folder)
    return listen.kind, listen.host, listen.port, listen.path, listen.fd_name
