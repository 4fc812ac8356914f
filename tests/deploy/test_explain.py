"""The command: its words, what it prints, and its exit status."""

import json
from pathlib import Path

import pytest

from trivet_deploy.cli import main
from trivet_deploy.explain import split
from trivet_deploy.refusal import FAILED, GOOD, NOTHING_RUNS, USAGE, Refusal

FILE = """
listen: [{address: "127.0.0.1:8000", name: front}]
run_dir: run
routes:
  - {path: /a, methods: POST, respond: posted}
  - {path: /, respond: "hello"}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trivet.yaml").write_text(FILE)
    return tmp_path / "trivet.yaml"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/a"], (None, "GET", "/a")),
        (["post", "/a"], (None, "POST", "/a")),
        (["b.yaml", "/a"], ("b.yaml", "GET", "/a")),
        (["b.yml", "PUT", "http://a/"], ("b.yml", "PUT", "http://a/")),
        (["/a.yaml"], (None, "GET", "/a.yaml")),
    ],
)
def test_words(words: list[str], expected: tuple[str | None, str, str]) -> None:
    assert split(words) == expected


@pytest.mark.parametrize("words", [["a.yaml", "GET", "/a", "/b"], ["GET", "/a", "/b"]])
def test_too_many_words(words: list[str]) -> None:
    with pytest.raises(Refusal, match="write: trivet explain"):
        split(words)


@pytest.mark.parametrize("word", ["trivet.yaml", "sites/shop.yml"])
def test_a_file_alone(word: str) -> None:
    with pytest.raises(Refusal, match=f"the URL is missing; write: trivet explain {word} /path"):
        split([word])


def test_headings_stand_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("routes: [{respond: x, maintenance: {when: closed}}]")
    assert main(["explain", str(tmp_path / "a.yaml"), "/"]) == GOOD
    said = capsys.readouterr().out
    assert f"maintenance  503 while there is {tmp_path}/closed (not there)\n" in said
    assert "\nclient       127.0.0.1\n" in said


def test_a_pool_waits_as_long_as_where_it_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a backend of its own for longer than where the application is not at hand."""
    config = "pools: {web: {app: shop, directory: shop, workers: 1}}"
    (tmp_path / "a.yaml").write_text(config)
    assert main(["explain", str(tmp_path / "a.yaml"), "/"]) == GOOD
    assert "queue: 1000 requests, 35s" in capsys.readouterr().out
    (tmp_path / "shop").mkdir()
    assert main(["explain", str(tmp_path / "a.yaml"), "/"]) == GOOD
    said = capsys.readouterr().out
    assert "queue: 1000 requests, 10s" in said
    assert "pool web (shop): 1 worker, one thread each" in said


def test_as_people_read_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "http://a.example/a"]) == GOOD
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "GET http://a.example/a"
    for line in (
        "listener  front (127.0.0.1:8000)",
        "not       trivet.yaml:5  /a asks for methods POST",
        "route     trivet.yaml:6  /",
        "does      respond 200, 5B of text/plain; charset=utf-8",
    ):
        assert line in said


def test_as_programs_read_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(file), "POST", "/a", "--json", "-H", "X-A: b", "--client", "::1"]) == GOOD
    told = json.loads(capsys.readouterr().out)
    assert told["route"] == {"id": "/a", "where": f"{file}:5"}
    assert (told["passed"], told["refused"], told["client"]) == ([], None, "::1")
    assert told["applies"]["does"] == ["respond 200, 6B of text/plain; charset=utf-8"]


def test_what_no_route_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.yaml").write_text("routes: [{path: /a, methods: POST, respond: x}]")
    assert main(["explain", str(tmp_path / "b.yaml"), "/a"]) == FAILED
    assert "refused   405 why=method" in (said := capsys.readouterr().out)
    assert "Allow: POST" in said
    assert main(["explain", str(tmp_path / "b.yaml"), "/a/../b"]) == FAILED
    assert "refused   400 why=bad_head:dot_segment" in capsys.readouterr().out


def test_a_terminal_is_not_driven(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "/a", "-H", "Host: \x1b[31m"]) == FAILED
    assert "\x1b" not in capsys.readouterr().out


def test_nothing_runs_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--live", "/"]) == NOTHING_RUNS
    assert "nothing runs" in capsys.readouterr().err
    assert main(["explain", "nonsense"]) == USAGE
