"""docs/http.md is what corpus and reasons say, and every input belongs to a class."""

from pathlib import Path

from tests.requests.corpus import accepted, refused
from tests.requests.page import http_markdown
from tests.requests.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "http.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == http_markdown(), "write docs/http.md anew, as its first lines say"


def test_every_input_is_of_a_class() -> None:
    assert {entry.row for entry in refused() + accepted()} == set(ROWS)
