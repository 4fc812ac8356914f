"""The router against a plain reading of the list from the top."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet_common.config.model import LimitKeys
from trivet_common.config.resolve_options import limits_of
from trivet_common.http1.errors import HttpError
from trivet_proxy import router
from trivet_proxy.matching import may_share
from trivet_proxy.router import CompiledRoute, Router

LIMITS = limits_of(LimitKeys())


@dataclass
class Head:
    host: str
    path: bytes
    method: bytes = b"GET"


async def answer(request: object, writer: object) -> None:
    raise AssertionError("the router calls no handler")


def compile_routes(*specs: tuple[str, str | None]) -> list[CompiledRoute]:
    """Each spec: hosts with spaces between (or nothing), path or None."""
    routes = []
    for order, (hosts, path) in enumerate(specs):
        raw = None if path is None else path.encode()
        slash = None
        if raw is not None and raw.endswith(b"/") and raw != b"/":
            slash = CompiledRoute(limits=LIMITS, order=order, handler=answer, id=f"{path}>")
        routes.append(
            CompiledRoute(
                limits=LIMITS,
                order=order,
                hosts=tuple(hosts.split()),
                path=raw,
                to_slash=slash,
                handler=answer,
                id=f"{order}",
            )
        )
    return routes


def read_from_the_top(routes: list[CompiledRoute], head: Head) -> CompiledRoute | None:
    """What docs/reference.md says, without any index."""
    implied: CompiledRoute | None = None
    for route in routes:
        if not host_matches(route.hosts, head.host):
            continue
        if route.path is None or (route.path.endswith(b"/") and head.path.startswith(route.path)):
            return implied.to_slash if implied is not None else route
        if route.path == head.path:
            return route
        if implied is None and route.to_slash is not None and route.path == head.path + b"/":
            implied = route
    return implied.to_slash if implied is not None else None


def host_matches(hosts: tuple[str, ...], host: str) -> bool:
    return not hosts or any(
        host == pattern
        or (pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1)
        for pattern in hosts
    )


TABLE = [
    # routes, host, path, what answers
    ([("", "/a"), ("", "/")], "h", b"/a", "0"),
    ([("", "/a"), ("", "/")], "h", b"/a/", "1"),
    ([("", "/a"), ("", "/")], "h", b"/ab", "1"),
    ([("", "/static/"), ("", "/")], "h", b"/static/x", "0"),
    ([("", "/static/"), ("", "/")], "h", b"/static../app.py", "1"),
    ([("", "/static/"), ("", "/")], "h", b"/static", "/static/>"),
    ([("", "/"), ("", "/static/")], "h", b"/static", "0"),
    ([("", "/static/"), ("", "/static")], "h", b"/static", "1"),
    ([("", "/static"), ("", "/static/")], "h", b"/static", "0"),
    ([("", "/static/")], "h", b"/static", "/static/>"),
    ([("", "/static/")], "h", b"/statics", None),
    ([("", None), ("", "/static/")], "h", b"/static", "0"),
    ([("", None)], "h", b"*", "0"),
    ([("", "/")], "h", b"*", None),
    ([("a.example", "/"), ("", "/")], "a.example", b"/x", "0"),
    ([("a.example", "/"), ("", "/")], "b.example", b"/x", "1"),
    ([("A.Example", "/")], "a.example", b"/x", "0"),
    ([("*.example", "/"), ("", "/")], "example", b"/", "1"),
    ([("*.example", "/"), ("", "/")], "a.example", b"/", "0"),
    ([("*.example", "/"), ("", "/")], "b.a.example", b"/", "0"),
    ([("*.example", "/"), ("", "/")], ".example", b"/", "1"),
    ([("*.example", "/"), ("", "/")], "badexample", b"/", "1"),
    ([("a.example b.example", "/")], "b.example", b"/", "0"),
    ([("", "/"), ("a.example", "/x")], "a.example", b"/x", "0"),
    ([("a.example", "/x/"), ("", "/x")], "a.example", b"/x", "1"),
    ([("a.example", "/x/"), ("", "/x")], "b.example", b"/x", "1"),
    ([("a.example", "/x/")], "b.example", b"/x", None),
    ([("", "/a/b/"), ("", "/a/")], "h", b"/a/b/c", "0"),
    ([("", "/a/"), ("", "/a/b/")], "h", b"/a/b/c", "0"),
    ([], "h", b"/", None),
]


@pytest.mark.parametrize(("specs", "host", "path", "expected"), TABLE)
def test_first_match_in_file_order(specs, host, path, expected):
    routes = compile_routes(*specs)
    found = Router(routes).find(Head(host, path))
    assert (found.id if found else None) == expected
    plain = read_from_the_top([lower_hosts(route) for route in routes], Head(host, path))
    assert (plain.id if plain else None) == expected


def lower_hosts(route: CompiledRoute) -> CompiledRoute:
    route.hosts = tuple(host.lower() for host in route.hosts)
    return route


HOST_NAMES = ["", "a.x", "b.x", "*.x", "*.a.x", "c", "a.x *.b.x"]
PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/", "/b/", "/ab/", None]
REQUEST_PATHS = [
    b"/",
    b"/a",
    b"/a/",
    b"/a/b",
    b"/a/b/",
    b"/a/b/c",
    b"/b",
    b"/b/x",
    b"/ab",
    b"/abc",
    b"*",
    b"/a//b",
    b"/c",
]


@settings(max_examples=400, deadline=None)
@given(
    specs=st.lists(st.tuples(st.sampled_from(HOST_NAMES), st.sampled_from(PATHS)), max_size=12),
    host=st.sampled_from(["a.x", "b.x", "x", "z.x", "q.a.x", "q.b.x", "c", "d", ""]),
    path=st.sampled_from(REQUEST_PATHS),
)
def test_the_index_agrees_with_reading_from_the_top(specs, host, path):
    routes = compile_routes(*specs)
    assert Router(routes).find(Head(host, path)) is read_from_the_top(routes, Head(host, path))


@settings(max_examples=400, deadline=None)
@given(
    specs=st.lists(st.tuples(st.sampled_from(HOST_NAMES), st.sampled_from(PATHS)), max_size=12),
    host=st.sampled_from(["a.x", "b.x", "x", "z.x", "q.a.x", "q.b.x", "c", "d", ""]),
    path=st.sampled_from(REQUEST_PATHS),
)
def test_what_may_follow_a_route_is_all_that_does(specs, host, path):
    """`fallback: next` looks at those only that share a host and a path with it."""
    routes = compile_routes(*specs)
    for place, route in enumerate(routes):
        if Router([route]).find(Head(host, path)) is route:
            behind = routes[place + 1 :]
            few = [other for other in behind if may_share(route, other)]
            assert Router(few).find(Head(host, path)) is Router(behind).find(Head(host, path))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("a.x", "/"), ("b.x", "/"), False),
        (("a.x", "/"), ("", "/"), True),
        (("*.x", "/"), ("a.x", "/"), True),
        (("*.x", "/"), ("x", "/"), False),
        (("*.x", "/"), ("*.a.x", "/"), True),
        (("a.x", "/a/"), ("a.x", "/b/"), False),
        (("a.x", "/a/"), ("a.x", "/"), True),
        (("a.x", "/a/"), ("a.x", "/a/b"), True),
        (("a.x", "/a/"), ("a.x", None), True),
        (("a.x", "/a"), ("a.x", "/a/"), True),
        (("a.x", "/a"), ("a.x", "/ab/"), False),
    ],
)
def test_what_may_share_a_request(one, other, expected):
    first, second = compile_routes(one, other)
    assert may_share(first, second) is expected
    assert may_share(second, first) is expected


def test_a_deep_path_costs_no_more_than_the_deepest_prefix():
    class Counting(bytes):
        slices = 0

        def __getitem__(self, key):
            Counting.slices += 1
            return bytes.__getitem__(self, key)

    router = Router(compile_routes(("", "/a/b/"), ("", "/")))
    found = router.find(Head("h", Counting(b"/x" * 10_000)))
    assert found is not None
    assert found.id == "1"
    assert Counting.slices <= 3


def test_says_what_it_holds():
    router = Router(compile_routes(("a.x", "/"), ("", "/static/")))
    assert repr(router) == "<Router 2 routes, 1 hosts>"
    assert "/static/" in repr(router.routes[1])


def test_a_scheme_is_part_of_the_match() -> None:
    def route(order: int, scheme: str | None, path: bytes | None) -> CompiledRoute:
        return CompiledRoute(limits=LIMITS, order=order, handler=answer, scheme=scheme, path=path)

    router = Router(
        [
            route(0, None, b"/.well-known/"),
            route(1, "http", None),
            route(2, "https", b"/a"),
            route(3, None, None),
        ]
    )
    for path, plain, secure in ((b"/.well-known/x", 0, 0), (b"/a", 1, 2), (b"/b", 1, 3)):
        head = Head("h.example", path)
        found = router.find(head), router.find_secure(head)
        assert [one and one.order for one in found] == [plain, secure]
    same = Router([route(0, None, None)])
    assert same.find_secure == same.find


@dataclass
class Asked:
    """A request, as far as conditions look at it."""

    head: Head
    has: frozenset[str]


def asking(order: int, needs: str, methods: tuple[str, ...], hosts: str, path: str | None) -> CompiledRoute:
    route = compile_routes(*[("", None)] * order, (hosts, path))[order]
    route.methods = frozenset(method.encode() for method in methods)
    if needs:
        route.holds = lambda request: needs in request.has
    return route


@settings(max_examples=600, deadline=None)
@given(
    specs=st.lists(
        st.tuples(
            st.sampled_from(["", "", "a", "b"]),
            st.sampled_from([(), (), ("GET",), ("POST", "PUT")]),
            st.sampled_from(HOST_NAMES),
            st.sampled_from(PATHS),
        ),
        max_size=12,
    ),
    has=st.frozensets(st.sampled_from(["a", "b"])),
    method=st.sampled_from([b"GET", b"POST"]),
    host=st.sampled_from(["a.x", "x", "q.a.x", "c", ""]),
    path=st.sampled_from(REQUEST_PATHS),
)
def test_routes_that_ask_agree_with_reading_from_the_top(specs, has, method, host, path):
    routes = [asking(order, *spec) for order, spec in enumerate(specs)]
    head = Head(host, path, method)
    request = Asked(head, has)
    holding = [route for route in routes if route.holds is None or route.holds(request)]
    suiting = [route for route in holding if not route.methods or method in route.methods]
    expected = read_from_the_top(suiting, head)
    others = {m for route in holding if reads_alone(route, head) for m in route.methods}
    router = Router(routes)
    for _ in range(2):  # once more when it knows where the path leads
        if expected is None and others:
            with pytest.raises(HttpError) as raised:
                router.find(head, request)
            assert raised.value.headers == ((b"allow", b", ".join(sorted(others))),)
        else:
            assert router.find(head, request) is expected


def reads_alone(route: CompiledRoute, head: Head) -> bool:
    return read_from_the_top([route], head) is route


def find(router: Router, method: bytes, path: bytes) -> CompiledRoute | None:
    head = Head("h", path, method)
    return router.find(head, Asked(head, frozenset()))


def test_another_method_is_answered() -> None:
    get, put = asking(0, "", ("GET", "HEAD"), "", "/a"), asking(1, "", ("PUT",), "", "/")
    router = Router([get, put])
    with pytest.raises(HttpError) as raised:
        find(router, b"POST", b"/a")
    assert raised.value.why == "method"
    assert raised.value.headers == ((b"allow", b"GET, HEAD, PUT"),)
    assert find(router, b"PUT", b"/a") is put
    last = asking(2, "", (), "", None)
    assert find(Router([get, put, last]), b"POST", b"/a") is last


def test_a_site_where_nobody_asks_does_not_look_at_the_request() -> None:
    router = Router(compile_routes(("", "/a/"), ("", "/")))
    assert router.find == router._find_sure
    assert router.find_secure == router.find


def test_what_is_remembered_of_paths_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "_MOST_KNOWN", 2)
    found = Router(compile_routes(("", "/a/"), ("", None)))
    for _ in range(2):
        for path in (b"/a/1", b"/2", b"/a/3", b"/" + b"x" * 300):
            assert found.find(Head("", path)) is found.routes[not path.startswith(b"/a/")]
            assert len(found._known) <= 2
    assert b"/" + b"x" * 300 not in {path for _, path in found._known}


def test_where_paths_lead_is_remembered_within_bounds() -> None:
    router = Router([asking(0, "a", (), "", "/")])
    for number in range(3000):
        assert find(router, b"GET", b"/%d" % number) is None
    assert find(router, b"GET", b"/" + b"x" * 300) is None
    assert len(router._led) <= 1024
    assert all(len(path) <= 256 for _, path in router._led)
    many = Router([asking(order, "a", (), "", "/") for order in range(70)])
    assert find(many, b"GET", b"/") is None
    assert not many._led
