"""YAML to nodes: scalars stay text, places are right, and nothing hangs or grows."""

import os
from pathlib import Path

import pytest

from trivet_common.config.nodes import Node, Text, core_value
from trivet_common.config.problems import Findings
from trivet_common.config.source import parse_tree, read_tree


def parsed(text: str) -> Node:
    findings = Findings()
    tree = parse_tree(text, Path("/srv"), "x.yaml", 0, findings)
    findings.raise_if_any()
    assert tree is not None
    return tree


@pytest.mark.parametrize(
    "word",
    [
        "no",
        "No",
        "on",
        "yes",
        "off",
        "22:22",
        "0660",
        "1_000",
        "0o17",
        "2026-11-22",
        "1.10",
        ".inf",
        "=",
        "True",
        "n",
    ],
)
def test_what_yaml_1_1_would_change_stays_text(word: str) -> None:
    value = parsed(f"a: {word}\n").at(("a",)).value
    assert value == word
    assert isinstance(value, Text)
    assert value.plain


def test_quotes_are_remembered() -> None:
    tree = parsed("a: '204'\nb: 204\n")
    assert isinstance(quoted := tree.at(("a",)).value, Text)
    assert isinstance(plain := tree.at(("b",)).value, Text)
    assert (quoted.plain, plain.plain) == (False, True)


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_nothing_is_none(nothing: str) -> None:
    assert parsed(f"a: {nothing}\n").at(("a",)).value is None


def test_a_value_stands_where_its_key_does() -> None:
    tree = parsed("a:\n  b:\n    - c\n    - d: >\n        folded\n        text\n  e: {f: 1,\n      g: 2}\n")
    lines = {".".join(map(str, loc)): node.place.line for loc, node in tree.walk()}
    assert lines == {
        "": 1,
        "a": 1,
        "a.b": 2,
        "a.b.0": 3,
        "a.b.1": 4,
        "a.b.1.d": 4,
        "a.e": 7,
        "a.e.f": 7,
        "a.e.g": 8,
    }


def test_at_goes_as_far_as_was_written() -> None:
    tree = parsed("routes:\n  - redirect: /x\nlisten:\n  address: a\n")
    assert tree.at(("routes", 0, "redirect", "to")).place.line == 2
    assert tree.at(("listen", 0, "address")).place.line == 4
    assert tree.has("routes", 0, "redirect")
    assert not tree.has("routes", 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("no", "no"),
        ("0x10", "0x10"),
        ("22:22", "22:22"),
        ("9" * 30, "9" * 30),
    ],
)
def test_json_values_follow_yaml_1_2(text: str, value: object) -> None:
    assert core_value(Text(text, plain=True)) == value
    assert core_value(Text(text, plain=False)) == text


def test_a_laughing_file_is_refused_before_it_grows() -> None:
    laughs = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 21))
    findings = Findings()
    parse_tree(laughs, Path("/srv"), "x.yaml", 0, findings)
    assert findings.mistake_count > 20


def test_too_many_values_are_refused() -> None:
    findings = Findings()
    assert parse_tree("a: [" + "1," * 250_000 + "]", Path("/srv"), "x.yaml", 0, findings) is None
    assert findings.mistake_count == 1


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "name with NUL", "below a file"])
def test_what_is_no_file_is_said_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "trivet.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "name with NUL":
        path = Path("a\0b")
    elif kind == "below a file":
        path.touch()
        path /= "x"
    findings = Findings()
    assert read_tree(path, "shown.yaml", 0, findings) is None
    with pytest.raises(Exception, match=r"^shown\.yaml: "):
        findings.raise_if_any()
