"""What the README tells to write is right: its YAML loads, its commands exist, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from trivet_common.config import load
from trivet_deploy.commands import trivet

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "docs/architecture.md",
    "docs/deploy.md",
    "docs/deploy-notes.md",
    "docs/from-nginx.md",
    "docs/pool.md",
    "CHANGELOG.md",
]


def blocks(page: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", [*blocks("README.md"), *blocks("docs/pool.md")])
def test_yaml_blocks_are_good_files(block: str, tmp_path: Path) -> None:
    static = tmp_path / "shop" / "static"
    static.mkdir(parents=True)
    (static / "favicon.ico").touch()
    (tmp_path / "site.yaml").write_text(
        block.replace("/srv/", f"{tmp_path}/").replace("/var/log/", f"{tmp_path}/")
    )
    # The proxy's purpose: users and applications of the example need not be on this machine.
    assert load(tmp_path / "site.yaml", environ={}, purpose="proxy").warnings == ()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target


def test_commands_exist() -> None:
    named = {
        name
        for page in PAGES
        for name in re.findall(r"(?:`|&& |; |^)trivet (\w+)", (ROOT / page).read_text())
    }
    not_yet = {"explain"}
    assert named - not_yet <= set(trivet.commands)


@pytest.mark.parametrize("page", PAGES)
def test_source_files_named_are_there(page: str) -> None:
    for path in re.findall(r"`((?:common|proxy|backend|deploy|tests)/[\w/.-]+)`", (ROOT / page).read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", [*sorted(path.name for path in ROOT.glob("docs/*.md")), "../README.md"])
def test_nobody_is_sent_to_an_index_for_what_is_not_there(page: str) -> None:
    """From a clone, or a wheel that was made of one."""
    text = (ROOT / "docs" / page).read_text()
    assert not re.search(r"pip install( -\S+)* [\"']?trivet\b(?!-)", text)
