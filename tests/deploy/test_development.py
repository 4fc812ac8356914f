"""`serve --reload`: what is renewed when files change, and when."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import Settings, load
from trivet_deploy import development
from trivet_deploy.development import Development, affected, refuse_elsewhere, watched
from trivet_deploy.refusal import Refusal

SITE = """
pools:
  web: {app: "hello:app", directory: web, env_file: web.env}
  api: {app: "hello:app", directory: api, python_path: [lib]}
routes: [{path: /api/, pool: api}, {path: /, pool: web}]
"""


@pytest.fixture
def site(tmp_path: Path) -> Settings:
    for name in ("web", "api", "lib"):
        (tmp_path / name).mkdir()
    (tmp_path / "web.env").write_text("")
    (tmp_path / "trivet.yaml").write_text(SITE)
    return load(tmp_path / "trivet.yaml", environ={})


class Renewer:
    """Stands for the master of `serve`."""

    def __init__(self) -> None:
        self.is_busy = False
        self.renewed: list[list[str] | None] = []
        self.done: list[Callable[[str | None], None]] = []
        self.alarms: list[Callable[[], None]] = []
        self.said: list[str] = []

    def is_renewing(self) -> bool:
        return self.is_busy

    def renew(self, pools: list[str] | None, done: Callable[[str | None], None]) -> None:
        self.renewed.append(pools)
        self.done.append(done)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.alarms.append(callback)


def test_what_is_watched(site: Settings, tmp_path: Path) -> None:
    found = watched(site)
    assert found.roots == (tmp_path / "web", tmp_path / "api", tmp_path / "lib")
    assert found.files == (tmp_path / "trivet.yaml", tmp_path / "web.env")


def test_who_is_affected(site: Settings, tmp_path: Path) -> None:
    def of(*names: str) -> Any:
        return affected(site, [str(tmp_path / name) for name in names])

    assert of("web/a.py") == ["web"]
    assert of("lib/a.py") == ["api"]
    assert of("api/x.py", "web/y.py") == ["web", "api"]
    assert of("elsewhere.py") == []
    assert of("web/a.py", "trivet.yaml") is None
    assert of("web.env") is None


def test_a_change_renews_its_pool_and_says_so(
    site: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    renewer = Renewer()
    changes = Development(site, renewer, renewer.said.append)
    changes.note([str(tmp_path / "web" / "a.py"), str(tmp_path / "web" / "b.py")])
    assert renewer.renewed == [["web"]]
    assert renewer.said == ["web/a.py and 1 more changed: renewing pool web"]
    renewer.done[0](None)
    changes.note([str(tmp_path / "trivet.yaml")])
    assert renewer.renewed == [["web"], None]
    renewer.done[1]("trivet.yaml:3: unknown key\nTraceback (most recent call last)")
    assert renewer.said[1:] == [
        "trivet.yaml changed: renewing everything",
        "not renewed: trivet.yaml:3: unknown key",
    ]
    changes.note([str(tmp_path / "elsewhere.py")])
    assert len(renewer.renewed) == 2


def test_what_changes_meanwhile_waits_and_is_one(site: Settings, tmp_path: Path) -> None:
    renewer = Renewer()
    renewer.is_busy = True
    changes = Development(site, renewer, renewer.said.append)
    changes.note([str(tmp_path / "web" / "a.py")])
    changes.note([str(tmp_path / "api" / "a.py")])
    assert (renewer.renewed, len(renewer.alarms)) == ([], 1)
    renewer.alarms.pop()()
    assert (renewer.renewed, len(renewer.alarms)) == ([], 1)
    renewer.is_busy = False
    renewer.alarms.pop()()
    assert renewer.renewed == [["web", "api"]]


def test_a_configuration_read_again_is_watched(site: Settings, tmp_path: Path) -> None:
    renewer = Renewer()
    changes = Development(site, renewer, renewer.said.append)
    (tmp_path / "trivet.yaml").write_text(SITE.replace("directory: web,", "directory: lib,"))
    changes.adopt(load(tmp_path / "trivet.yaml", environ={}))
    assert tmp_path / "web" not in changes.watched.roots


def test_where_it_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_elsewhere("")
    with pytest.raises(Refusal, match="systemd runs this") as refused:
        refuse_elsewhere("/run/systemd/notify")
    assert refused.value.status == 2
    monkeypatch.setattr(development, "find_spec", lambda name: None)
    with pytest.raises(Refusal, match="pip install watchfiles"):
        refuse_elsewhere("")
