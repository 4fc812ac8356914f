"""Which route answers and why the others do not. (whole/test_explain.py holds it to a running proxy.)"""

from pathlib import Path
from typing import Any

from trivet_common.config import from_mapping
from trivet_deploy.applies import applies
from trivet_deploy.explained import Explained, explain
from trivet_deploy.question import Words, ask
from trivet_proxy.kept_assets import kept_file, place_of_assets


def explained(
    routes: list[dict[str, Any]], url: str, method: str = "GET", base: Path | None = None
) -> Explained:
    settings = from_mapping({"routes": routes}, base=base or Path("/"), environ={})
    return explain(ask(Words(method, url), settings), settings)


def passed(found: Explained) -> list[str]:
    return [one.asks for one in found.passed]


def test_what_is_not_so() -> None:
    found = explained(
        [
            {"scheme": "https", "path": "/a", "respond": "x"},
            {"host": ["b.example", "*.c.example"], "respond": "x"},
            {"path": "/b/", "respond": "x"},
            {"path": "/a", "methods": "POST", "respond": "x"},
            {"path": "/a", "query": {"q": 1}, "path_regex": "b$", "respond": "x"},
            {"path": "/a", "respond": "x"},
            {"path": "/", "respond": "x"},
        ],
        "http://c.example/a",
    )
    assert passed(found) == [
        "scheme https", "host b.example, *.c.example", "path /b/", "methods POST",
        "query q: 1 and path_regex b$",
    ]  # fmt: skip
    assert found.route is not None
    assert found.route.id == "/a#6"


def test_groups_are_those_of_the_route() -> None:
    found = explained(
        [
            {"path_regex": "^/(.)", "methods": "POST", "respond": "x"},
            {"path_regex": "^/.(.)", "respond": "x"},
        ],
        "/ab",
    )
    assert found.question.request.groups == (b"b",)


def test_nothing_matches() -> None:
    found = explained([{"path": "/b/", "methods": "POST", "respond": "x"}], "/a")
    assert (found.route, found.refusal and found.refusal.why, passed(found)) == (
        None,
        "no_route",
        ["path /b/"],
    )
    found = explained([{"path": "/b/", "methods": "POST", "respond": "x"}], "/b/")
    assert found.refusal is not None
    assert (found.refusal.status, passed(found)) == (405, ["methods POST"])


def test_an_expression_that_is_not_tried() -> None:
    found = explained([{"path_regex": "x$", "respond": "x"}], "/" + "y" * 9000)
    assert found.refusal is not None
    assert found.refusal.status == 414


def test_a_path_without_its_slash() -> None:
    found = explained([{"path": "/b/", "respond": "x"}, {"path": "/", "respond": "y"}], "/b")
    assert found.route is not None
    assert (found.route.id, found.is_slash) == ("/b/", True)


def test_what_has_no_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "folder").mkdir()
    routes = [{"path": "/", "files": {"root": ".", "fallback": "next"}}, {"path": "/", "respond": "x"}]
    there = {
        url: explained(routes, url, method, tmp_path).left == []
        for url, method in [
            ("/a.txt", "GET"), ("/a.txt?x", "HEAD"), ("/b.txt", "GET"), ("/", "GET"), ("/folder", "GET"),
            ("/.env", "GET"), ("/folder/", "POST"),
        ]
    }  # fmt: skip
    assert [url for url, is_there in there.items() if is_there] == ["/a.txt", "/a.txt?x"]
    (tmp_path / "folder" / "index.html").write_text("b")
    assert explained(routes, "/folder", base=tmp_path).left == []
    found = explained(routes[:1], "/b.txt", base=tmp_path)
    assert (found.route, [route.id for route in found.left]) == (None, ["/"])


def test_what_an_earlier_tree_had_is_not_left(tmp_path: Path) -> None:
    """As `keep_releases` sends it; and a listing is an answer as well."""
    (tmp_path / "tree" / "folder").mkdir(parents=True)
    files = {"root": "tree", "fallback": "next", "keep_releases": 2}
    routes = [{"path": "/", "files": files}, {"path": "/", "respond": "x"}]
    settings = from_mapping({"state_dir": "state", "routes": routes}, base=tmp_path, environ={})

    def left(url: str) -> list[str]:
        return [route.id for route in explain(ask(Words("GET", url), settings), settings).left]

    name = "app-5UjPuW-k.js"
    assert left(f"/{name}") == left("/folder/") == ["/"]
    kept = kept_file(place_of_assets(tmp_path / "state", "/"), name)
    kept.parent.mkdir(parents=True)
    kept.write_text("b")
    assert (left(f"/{name}"), left(f"/folder/{name}")) == ([], ["/"])
    found = explain(ask(Words("GET", f"/{name}"), settings), settings)
    assert applies(found, settings)["does"][1] == f"file {kept} (there), kept of an earlier tree"
    files |= {"listing": True}
    settings = from_mapping({"state_dir": "state", "routes": routes}, base=tmp_path, environ={})
    assert left("/folder") == left("/folder/") == []
