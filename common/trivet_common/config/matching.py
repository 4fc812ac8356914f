"""What a route matches: whether its host and path can be, and which routes can never be reached."""

import ipaddress
import re

from .addresses import is_host_name
from .draft import Draft
from .model_routes import ACTIONS, RouteKeys
from .nodes import Loc
from .problems import Mistake, shown
from .settings import Route

# Of all expressions that one path is tried on: four of the slowest that are taken.
_MOST_MILLISECONDS = 120
_REGEX_SIGNS = re.compile(r"\^|\$|\\|\.\*|\(\?|\.\+")


def resolve_hosts(hosts: tuple[str, ...], draft: Draft, loc: Loc) -> tuple[str, ...]:
    """Lower-case hosts and patterns."""
    found = []
    for index, host in enumerate(hosts):
        try:
            found.append(_host(host))
        except Mistake as mistake:
            draft.report((*loc, "host", index), mistake)
    return tuple(dict.fromkeys(found))


def check_path(keys: RouteKeys, draft: Draft, loc: Loc) -> None:
    if keys.path is None:
        return
    try:
        judge_path(keys.path)
    except Mistake as mistake:
        draft.report((*loc, "path"), mistake)
    if keys.files is not None and not keys.path.endswith("/") and keys.path.startswith("/"):
        draft.mistake(
            (*loc, "path"),
            f"{shown(keys.path)} matches exactly one path, and files is a folder",
            f"write {shown(keys.path)}/",
        )


def check_reach(routes: tuple[Route, ...], draft: Draft) -> None:
    """A route behind one that takes everything it would match can never match."""
    nodes = [draft.tree.at(("routes", index)) for index in range(len(routes))]
    # What has a mistake of its own is not blamed for others.
    whole = [not node.is_cut and any(map(node.has, ACTIONS)) for node in nodes]
    by_host: dict[str, list[int]] = {}  # a thousand routes are not compared each with each
    for later, route in enumerate(routes):
        # What covers it covers its first host too.
        near = sorted({index for host in _wider(route.host) for index in by_host.get(host, ())})
        for index in near:
            earlier = routes[index]
            if whole[index] and whole[later] and _covers(earlier, route):
                what, taker = (shown(one.id.partition("#")[0]) for one in (route, earlier))
                draft.findings.mistake(
                    draft.place("routes", later),
                    f"the route for {what} can never match: {taker} ({earlier.where}) takes all of it",
                    "move it up, or take it out",
                )
                break
        for host in dict.fromkeys(route.host or ("",)):
            by_host.setdefault(host, []).append(later)


def _wider(hosts: tuple[str, ...]) -> list[str]:
    """Under which hosts a route stands that takes all of the first one; "" for one that takes any."""
    if not hosts:
        return [""]
    labels = hosts[0].removeprefix("*.").split(".")
    return [
        "",
        hosts[0],
        *(f"*.{'.'.join(labels[at:])}" for at in range(0 if "*" in hosts[0] else 1, len(labels))),
    ]


def warn_of_lone_paths(routes: tuple[Route, ...], draft: Draft) -> None:
    """`path: /api` matches only /api, and often everything below was meant."""
    for index, route in enumerate(routes):
        path = route.path
        if not path or path.endswith("/") or not (route.pool or route.upstream):
            continue
        if "." in path.rpartition("/")[2] or _continues(route, routes):
            continue
        draft.warning(
            ("routes", index, "path"),
            f"{shown(path)} matches only {shown(path)}",
            f"write {shown(path)}/ for everything below",
        )


def warn_of_circles(routes: tuple[Route, ...], draft: Draft) -> None:
    """A redirect to what the same route answers: browsers give up after twenty of them."""
    for index, route in enumerate(routes):
        if route.redirect is None or route.match is not None:
            continue
        path = route.redirect.to.partition("?")[0]
        is_taken = any(path_covers(other.path, path) for other in routes[:index])
        is_same = path.startswith("/") and "{" not in path and path_covers(route.path, path) and not is_taken
        if is_same or path in ("{uri}", "{path}"):
            draft.warning(
                ("routes", index, "redirect"),
                f"{shown(route.redirect.to)} leads to this route again",
                "write another address, or a route for it before this one",
            )


def warn_of_slow_paths(routes: tuple[Route, ...], draft: Draft) -> None:
    """Each expression is bounded; a path that none of forty matches is tried on all of them."""
    asking: dict[str, list[int]] = {}  # by host; those without one stand under ""
    for index, route in enumerate(routes):
        if route.match is not None and route.match.path_regex is not None and route.path in (None, "/"):
            for host in route.host or ("",):
                asking.setdefault(host, []).append(index)
    anywhere = asking.pop("", [])
    for found in ([*those, *anywhere] for those in [*asking.values(), []]):
        times = {index: _milliseconds(routes[index]) for index in found}
        together = sum(times.values())
        if together > _MOST_MILLISECONDS:
            draft.warning(
                ("routes", max(times, key=lambda index: times[index]), "path_regex"),
                f"a path made for it takes {round(together)} ms on {len(times)} expressions together",
                "begin them with ^, and write [^/]+ in the place of .*, or give the routes a path",
            )
            return


def _milliseconds(route: Route) -> float:
    assert route.match is not None
    assert route.match.path_regex is not None
    return route.match.path_regex.milliseconds


def _continues(route: Route, routes: tuple[Route, ...]) -> bool:
    """Whether what is below has a route of its own, or goes to the same place anyway."""
    below = f"{route.path}/"
    for other in routes:
        if other is route or not hosts_cover(other.host, route.host):
            continue
        if not _listeners_cover(other.listener, route.listener):
            continue
        if other.path == below:
            return True
        if other.match is None and path_covers(other.path, below):
            return (other.pool, other.upstream) == (route.pool, route.upstream)
    return False


def _covers(earlier: Route, later: Route) -> bool:
    if earlier.files is not None and earlier.files.passes_on:
        return False
    if earlier.match is not None and not earlier.match.covers(later.match):
        return False
    if earlier.scheme not in (None, later.scheme) or not _listeners_cover(earlier.listener, later.listener):
        return False
    return hosts_cover(earlier.host, later.host) and path_covers(earlier.path, later.path)


def _listeners_cover(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def path_covers(wide: str | None, narrow: str | None) -> bool:
    if wide is None or wide == "/":
        return True
    if narrow is None:
        return False
    return narrow.startswith(wide) if wide.endswith("/") else narrow == wide


def hosts_cover(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    if not wide:
        return True
    return bool(narrow) and all(any(_host_covers(pattern, host) for pattern in wide) for host in narrow)


def _host_covers(pattern: str, host: str) -> bool:
    if pattern == host:
        return True
    return pattern.startswith("*.") and host.removeprefix("*").endswith(pattern[1:]) and host != pattern[2:]


def _host(written: str) -> str:
    host = written.lower().rstrip(".")
    name = host.removeprefix("*.")
    if "://" in host or "/" in host:
        bare = host.partition("://")[2].partition("/")[0] or host.partition("/")[0]
        raise Mistake(
            f'"{shown(written)}" is more than a host', f"write {shown(bare)}; the path goes to path:"
        )
    if host in ("*", "_", ""):
        raise Mistake(f'"{shown(written)}" is not a host', "leave host: out to match every host")
    if "*" in name:
        raise Mistake(
            f'"{shown(written)}": a * stands only at the front', 'write for example "*.example.com"'
        )
    if host.startswith("["):
        return _ipv6_host(host, written)
    if re.search(r":[0-9]+\Z", host):
        raise Mistake(
            f'"{shown(written)}" has a port, which is not part of the match',
            f"write {shown(host.rpartition(':')[0])}",
        )
    if not host.isascii():
        raise Mistake(f'"{shown(written)}" has letters beyond ASCII', _punycode_hint(host))
    if not is_host_name(name):
        raise Mistake(
            f'"{shown(written)}" is not a host', 'write for example shop.example.com or "*.example.com"'
        )
    return host


def _ipv6_host(host: str, written: str) -> str:
    try:
        return f"[{ipaddress.IPv6Address(host.strip('[]'))}]"
    except ValueError:
        raise Mistake(f'"{shown(written)}" is not a host', 'write for example "[2001:db8::1]"') from None


def _punycode_hint(host: str) -> str:
    try:
        return f"write {host.encode('idna').decode('ascii')}"
    except (UnicodeError, LookupError):
        return "write it as xn--…"


def judge_path(path: str) -> None:
    """Raises Mistake for one that never comes."""
    if re.match(r"https?://", path):
        raise Mistake(
            f'"{shown(path)}" is a URL, not a path', "write its host in host: and its path in path:"
        )
    if path.startswith(("^", "~", "(", "\\")):
        raise Mistake(
            f'"{shown(path)}" looks like a regular expression',
            "write path_regex: for it; a final / matches all beneath",
        )
    if not path.startswith("/"):
        raise Mistake(f'"{shown(path)}" does not begin with /', f"write /{shown(path)}")
    if path.endswith("*"):
        raise Mistake(
            f'"{shown(path)}": a * is not needed',
            f"write {shown(path.rstrip('*').rstrip('/') + '/')} to match all beneath",
        )
    if _REGEX_SIGNS.search(path):
        raise Mistake(
            f'"{shown(path)}" looks like a regular expression',
            "write path_regex: for it; a final / matches all beneath",
        )
    if "?" in path or "#" in path:
        raise Mistake(
            f'"{shown(path)}" has a ? or # in it', "write only the path, and query: {NAME: value} beside it"
        )
    if "//" in path or re.search(r"/\.{1,2}(/|\Z)", path):
        raise Mistake(
            f'"{shown(path)}" never comes: paths are tidied before they are matched',
            "write it without //, /./ and /../",
        )
    if re.search(r"%[0-9A-Fa-f]{2}", path):
        raise Mistake(f'"{shown(path)}" is encoded', "write the path decoded, as people read it")
    if re.search(r"[\s\x7f]", path):
        raise Mistake(f'"{shown(path)}" has white space in it', "take it out")
