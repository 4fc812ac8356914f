"""The reader of `NAME=value` files."""

from pathlib import Path

import pytest

from trivet_common.config.env_file import read_env_file
from trivet_common.config.problems import ConfigError, Findings


def read(path: Path, text: str) -> dict[str, str]:
    path.write_bytes(text.encode())
    findings = Findings()
    variables = read_env_file(path, ".env", 0, findings)
    findings.raise_if_any()
    return variables


def test_everything_that_is_understood(tmp_path: Path) -> None:
    text = """\
# a comment
A=1
export B=two
  C = spaced out  # and a comment
D=a#b
E='as $it \\n is'  # comment
F="line\\none \\"quoted\\" \\\\ \\$X"
G=
H=''
I=a=b=c
A=again
"""
    assert read(tmp_path / ".env", text + "CRLF=x\r\n") == {
        "A": "again",
        "B": "two",
        "C": "spaced out",
        "D": "a#b",
        "E": "as $it \\n is",
        "F": 'line\none "quoted" \\ $X',
        "G": "",
        "H": "",
        "I": "a=b=c",
        "CRLF": "x",
    }


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("A=1\njust words\n", ".env:2: this line is not NAME=value; write NAME=value"),
        ("A-B=1\n", '.env:1: "A-B" is not the name of a variable'),
        ('A="open\n', ".env:1: the quotes of A do not fit"),
        ("A='it's'\n", ".env:1: the quotes of A do not fit"),
        ('A="a" b\n', ".env:1: the quotes of A do not fit"),
        ("A=\0\n", ".env:1: the quotes of A do not fit"),
        ("x" * 300_000, ".env: the file is larger than 256 KiB"),
    ],
)
def test_what_is_not_understood(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / ".env", text)
    assert str(caught.value).startswith(mistake)


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / ".env", "hunter2 is the password\nKEY='hunter2\n")
    assert "hunter2" not in str(caught.value)
