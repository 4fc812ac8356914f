"""`trivet compress`: what is written, what is left alone, and that a second run has nothing to do."""

import gzip
import os
import stat
import zlib
from pathlib import Path

import pytest
import trio

from tests.proxy.abyss import abyss
from trivet_deploy import cli, compress
from trivet_proxy.catalogue import Catalogue
from trivet_proxy.file_tree import FileTree
from trivet_proxy.folder import Folder

REAL = compress.available
TEXT = b"body { color: red }\n" * 100


@pytest.fixture(autouse=True)
def codings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brotli's library as if it were installed, and zstd's as if not."""
    monkeypatch.setattr(compress, "available", lambda: {".gz": compress._gzip, ".br": zlib.compress})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "site.css").write_bytes(TEXT)
    (tmp_path / "css" / "site.css").chmod(0o640)
    os.utime(tmp_path / "css" / "site.css", ns=(0, 784111777 * 10**9 + 5))
    for name in ("app.js", "data.json", "logo.svg", "app.wasm", "font.ttf"):
        (tmp_path / name).write_bytes(TEXT)
    for name in ("photo.jpg", "font.woff2", "old.css.gz", "archive.zip", "tiny.css"):
        (tmp_path / name).write_bytes(TEXT if name != "tiny.css" else b"a{}")
    (tmp_path / "noise.txt").write_bytes(os.urandom(2000))
    (tmp_path / "link.css").symlink_to("css/site.css")
    os.mkfifo(tmp_path / "fifo.css")
    return tmp_path


def written(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.suffix in (".gz", ".br", ".zst")}


def test_text_that_shrinks(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compress", str(tree)]) == 0
    names = ("css/site.css", "app.js", "data.json", "logo.svg", "app.wasm", "font.ttf")
    assert written(tree) == {f"{name}{end}" for name in names for end in (".gz", ".br")} | {"old.css.gz"}
    assert gzip.decompress((tree / "css" / "site.css.gz").read_bytes()) == TEXT
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(".gz   6 files written, 11.7 KiB to ")
    assert said[0].endswith("1 would not shrink")
    assert said[2] == ".zst  its library is not installed: pip install 'trivet[compress]'"


def test_a_sibling_has_its_files_time_and_rights(tree: Path) -> None:
    cli.main(["compress", str(tree)])
    info = (tree / "css" / "site.css.gz").stat()
    assert (info.st_mtime_ns, stat.S_IMODE(info.st_mode)) == (784111777 * 10**9 + 5, 0o640)
    assert not list(tree.rglob(".*"))


def test_twice_is_once(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["compress", str(tree)])
    before = {name: (tree / name).stat().st_ino for name in written(tree)}
    capsys.readouterr()
    assert cli.main(["compress", str(tree)]) == 0
    assert {name: (tree / name).stat().st_ino for name in written(tree)} == before
    assert capsys.readouterr().out.startswith(".gz   0 files written, 6 up to date, 1 would not shrink\n")


def test_a_changed_file_is_packed_again(tree: Path) -> None:
    cli.main(["compress", str(tree)])
    (tree / "app.js").write_bytes(TEXT * 2)
    (tree / "data.json").write_bytes(os.urandom(3000))
    cli.main(["compress", str(tree)])
    assert gzip.decompress((tree / "app.js.gz").read_bytes()) == TEXT * 2
    assert "data.json.gz" not in written(tree)  # what stood there was of another content


def test_the_same_bytes_in_every_build(tree: Path) -> None:
    cli.main(["compress", str(tree)])
    first = (tree / "app.js.gz").read_bytes()
    (tree / "app.js.gz").unlink()
    os.utime(tree / "app.js")
    cli.main(["compress", str(tree)])
    assert (tree / "app.js.gz").read_bytes() == first


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compress", "nowhere"]) == 1
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(tree: FileTree, folder: bytes) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(FileTree, "_read", fail)
    assert cli.main(["compress", str(tree)]) == 1
    assert "the folder cannot be read: Input/output error" in capsys.readouterr().err


def test_what_cannot_be_written(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compress, "_replace", fail)
    assert cli.main(["compress", str(tree)]) == 1
    said = capsys.readouterr().err
    assert "app.js: No space left on device" in said
    assert "could not be written" in said


def test_links_lead_nowhere(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither what is read nor what is written lies outside, also if the link is put there meanwhile."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.css").write_bytes(TEXT)
    (tree / "folder").symlink_to(outside)
    assert cli.main(["compress", str(tree)]) == 0
    root = os.open(tree, os.O_RDONLY)
    job = compress._Job(b"folder/secret.css", os.stat(outside / "secret.css"), [".gz"])
    assert "css" not in str(compress._run(root, job, compress.available()).get(".gz"))
    with pytest.raises(OSError, match=r"symbolic links|cross-device|Not a directory"):
        compress._replace(root, b"folder/secret.css.gz", b"x", job.info)
    os.close(root)
    assert [path.name for path in outside.iterdir()] == ["secret.css"]
    (tree / "app.js.gz").unlink()
    (tree / "app.js.gz").symlink_to(outside / "secret.css")
    assert cli.main(["compress", str(tree)]) == 0
    assert not (tree / "app.js.gz").is_symlink()
    assert (outside / "secret.css").read_bytes() == TEXT


def test_files_that_go_or_change_meanwhile(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def remove(data: bytes) -> bytes:
        for path in tree.glob("*.json*"):
            path.unlink()
        return data[:9]

    root = os.open(tree, os.O_RDONLY)
    job = compress._Job(b"data.json", os.stat(tree / "data.json"), [".gz", ".br"])
    assert compress._run(root, job, {".gz": remove, ".br": remove}) == {}
    job = compress._Job(b"app.js", os.stat(tree / "app.js"), [".gz"])
    (tree / "app.js").write_bytes(TEXT * 3)
    os.utime(tree / "app.js", ns=(0, 5))
    compress._run(root, job, compress.available())
    os.close(root)
    assert gzip.decompress((tree / "app.js.gz").read_bytes()) == TEXT * 3
    assert os.stat(tree / "app.js.gz").st_mtime_ns == 5  # of what was read, not of what was seen before


def test_an_abyss_and_a_broken_library(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with abyss(tree):
        assert cli.main(["compress", str(tree)]) == 1
    assert "64 folders deep" in capsys.readouterr().err
    assert (tree / "app.js.gz").exists()

    def fail(data: bytes) -> bytes:
        raise ValueError("broken")

    monkeypatch.setattr(compress, "available", lambda: {".gz": compress._gzip, ".br": fail})
    (tree / "app.js.gz").unlink()
    (tree / "app.js.br").unlink()
    assert cli.main(["compress", str(tree)]) == 1
    assert "app.js: ValueError('broken')" in capsys.readouterr().err
    assert (tree / "app.js.gz").exists()


def test_names_that_are_no_text_or_as_long_as_can_be(tree: Path) -> None:
    names = (b"caf\xe9.css", b"x" * 248 + b".css")
    for name in names:
        (tree / os.fsdecode(name)).write_bytes(TEXT)
    assert cli.main(["compress", str(tree)]) == 0
    assert all((tree / os.fsdecode(name + b".gz")).exists() for name in names)


def test_gzip_is_always_there() -> None:
    assert ".gz" in REAL()


def test_the_proxy_sends_them(tree: Path) -> None:
    """Both sides mean the same by a sibling."""
    from trivet_common.config import FilesAction
    from trivet_proxy.presentation import Presentation
    from trivet_proxy.shelf import Entry, Shelf

    cli.main(["compress", str(tree)])
    catalogue = Catalogue(0, Folder(tree), Presentation(FilesAction(tree)), Shelf())
    entry = trio.run(catalogue.find, b"css/site.css")
    assert isinstance(entry, Entry)
    assert set(entry.coded) == {b"gzip", b"br"}
