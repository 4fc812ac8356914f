"""Deploys under clients that loop over a page and its assets: none that a served page names is missing."""

import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk

pytestmark = pytest.mark.slow

CONFIG = """
proxy: {processes: 2}
state_dir: state
log: {access: off}
routes:
  - {path: /static/, files: {root: current/static, keep_releases: 3}}
  - {path: /, files: {root: current/pages}}
"""
PLAIN = """
proxy: {processes: 1}
log: {access: off}
routes:
  - {path: /static/, files: current/static}
  - {path: /, files: {root: current/pages}}
"""


def make_release(folder: Path, number: int) -> list[str]:
    """A page and the three assets it names, of names that no other release has."""
    mark = f"{number}a{str(number) * 10}"
    mark = f"{number}a{str(number) * 10}"
    names = [f"app.{mark}.js", f"site.{mark}.css", f"x/y.{mark}.svg"]
    release = folder / f"r{number}"
    (release / "pages").mkdir(parents=True)
    for name in names:
        (release / "static" / name).parent.mkdir(parents=True, exist_ok=True)
        (release / "static" / name).write_text(f"{name} of release {number}\n" * 50)
    links = "".join(f'<a href="/static/{name}">' for name in names)
    (release / "pages" / "index.html").write_text(f"<h1>{number}</h1>{links}")
    return names


def switch(folder: Path, number: int) -> None:
    new = folder / "new"
    new.symlink_to(f"r{number}")
    new.rename(folder / "current")


class Visitor(threading.Thread):
    """Loads the page, waits as a person does, and loads what the page names, for as long as it is wanted."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self._site = site
        self.is_wanted = True
        self.pages: list[int] = []
        self.missing: list[str] = []
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            while self.is_wanted:
                self._visit()
        except BaseException as problem:
            self.problem = problem

    def _visit(self) -> None:
        with Talk(self._site.address) as talk:
            page = talk.get("/").body.decode()
            self.pages.append(int(re.findall(r"<h1>(\d+)", page)[0]))
        time.sleep(0.05)  # the person
        with Talk(self._site.address) as talk:
            for name in re.findall(r'href="([^"]+)"', page):
                answer = talk.get(name)
                if answer.status != 200 or not answer.body.startswith(name.removeprefix("/static/").encode()):
                    self.missing.append(f"{name}: {answer.status}")


def wait_for_page(visitors: list[Visitor], number: int) -> None:
    """That release is what every visitor gets, and has been for a moment."""

    def is_seen() -> bool:
        for visitor in visitors:
            if visitor.problem is not None:
                raise visitor.problem
        return all(visitor.pages[-3:] == [number] * 3 for visitor in visitors)

    wait_until(is_seen, 10, f"release {number} seen by everybody")


def wait_until_kept(folder: Path, names: list[str]) -> None:
    store = folder / "state" / "assets"
    wait_until(lambda: all(any(store.glob(f"*/files/{name}")) for name in names), 10, f"kept: {names}")


def deploy_under_visitors(folder: Path, site: Site, before: int, number: int, assets: list[str]) -> None:
    visitors = [Visitor(site) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        wait_for_page(visitors, before)
        wait_until_kept(folder, assets)
        switch(folder, number)
        # As deploys do: the tree before is taken away.
        shutil.rmtree(folder / f"r{before}" / "static")
        wait_for_page(visitors, number)
    finally:
        for visitor in visitors:
            visitor.is_wanted = False
            visitor.join(10)
    assert [visitor.missing for visitor in visitors] == [[], [], []]


def test_no_asset_of_a_served_page_is_ever_missing(tmp_path: Path) -> None:
    assets = {number: make_release(tmp_path, number) for number in (1, 2, 3)}
    switch(tmp_path, 1)
    # Back to an earlier release, too; and between two deploys the site is stopped and started again.
    for before, number in ((1, 2), (2, 3), (3, 1)):
        with running(tmp_path, CONFIG) as site:
            deploy_under_visitors(tmp_path, site, before, number, assets[before])
            with Talk(site.address) as talk:
                for name in assets[before]:
                    answer = talk.get(f"/static/{name}")
                    assert (answer.status, "immutable" in answer.headers["cache-control"]) == (200, True)
                nothing = talk.get("/static/app.9a9999999999.js")
                assert (nothing.status, nothing.headers["cache-control"]) == (404, "no-store")
        (tmp_path / "out.txt").unlink()  # what the next one says is its own
        shutil.rmtree(tmp_path / f"r{before}")
        make_release(tmp_path, before)


def test_without_it_they_would_be(tmp_path: Path) -> None:
    """The drill can fail: a deploy without keep_releases loses the assets of the page before."""
    assets = {number: make_release(tmp_path, number) for number in (1, 2)}
    switch(tmp_path, 1)
    with running(tmp_path, PLAIN) as site, Talk(site.address) as talk:
        assert talk.get("/").status == 200
        switch(tmp_path, 2)
        wait_until(lambda: b"<h1>2" in talk.get("/").body, 10)
        assert talk.get(f"/static/{assets[1][0]}").status == 404


def test_a_state_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """It is said, and keeps nobody from the files that are there."""
    names = make_release(tmp_path, 1)
    switch(tmp_path, 1)
    (tmp_path / "state").write_text("")
    with running(tmp_path, CONFIG) as site, Talk(site.address) as talk:
        assert "assets cannot be kept in" in site.said()
        assert talk.get(f"/static/{names[0]}").status == 200
