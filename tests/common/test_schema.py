"""The JSON schema and the reference page are those of the models."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import json_schema, reference_markdown
from trivet_common.config.outline import homes, keys_of, section_at, sections

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


def test_the_reference_page_is_current() -> None:
    assert PAGE.read_text() == reference_markdown(), "write docs/reference.md anew, as its first lines say"


def test_every_key_has_its_meaning_on_the_page() -> None:
    page = reference_markdown()
    for _path, section in sections():
        for field in section.model_fields.values():
            assert field.description
            assert field.description.endswith((".", "`")), field.description
        for key in [*keys_of(section), *section.later]:
            assert f"`{key}`" in page


def test_every_link_of_the_page_leads_somewhere() -> None:
    page = reference_markdown()
    titles = re.findall(r"^## (.*)$", page, re.M)
    anchors = {re.sub(r"[^a-z_ -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\(#([^)]*)\)", page)) <= anchors


def test_no_key_is_both_built_and_not() -> None:
    for _path, section in sections():
        assert not set(keys_of(section)) & set(section.later)


def test_the_outline_finds_sections_as_they_are_written() -> None:
    def name(*loc: str | int) -> str | None:
        section = section_at(loc)
        return section.__name__ if section else None

    assert name() == "SiteKeys"
    assert name("pools", "web", "queue") == "QueueKeys"
    assert name("pools", "queue") == "PoolKeys"
    assert name("routes", 3, "redirect") == "RedirectKeys"
    assert name("listen", 0) == "ListenKeys"
    assert name("pools", "web", "env") is None
    assert "pools.NAME" in homes("workers")


def test_the_schema_knows_every_section_and_refuses_other_keys() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(keys_of(section_at(()) or pytest.fail("no site")))
    for definition in schema["$defs"].values():
        assert definition["additionalProperties"] is False


@pytest.mark.parametrize(
    ("key", "value", "fits"),
    [("body", "64MiB", True), ("body", "64", False), ("body", "${BODY}", True), ("idle_timeout", "5m", True)],
)
def test_the_schemas_patterns(key: str, value: str, fits: bool) -> None:
    kinds: list[dict[str, Any]] = json_schema()["$defs"]["LimitKeys"]["properties"][key]["anyOf"]
    assert any(re.search(kind["pattern"], value) for kind in kinds) is fits
