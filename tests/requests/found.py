"""Writes an input that was judged wrongly as an entry of the corpus, for corpus.py to read."""

from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent / "found"


def write(data: bytes, why: str) -> Path:
    """A file named for its bytes. No test reads it: move the entry into the corpus, then mend the fault."""
    FOLDER.mkdir(exist_ok=True)
    name = "found-" + sha256(data).hexdigest()[:12]
    path = FOLDER / f"{name}.txt"
    said = "".join(f"# {line}\n" for line in why.splitlines())
    path.write_text(f"{said}== {name} FUZZ\n{escaped(data)}", "ascii")
    return path


def escaped(data: bytes) -> str:
    """As the corpus is written: a line a line, everything that is not plain escaped."""
    text = "".join(_character(byte) for byte in data).replace("\\r\\n", "\\r\\n\n")
    lines = text.split("\n")
    return "\n".join(_safe(line) for line in lines).rstrip("\n") + "\n"


def _character(byte: int) -> str:
    known = {0x0D: "\\r", 0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\", 0x7B: "\\x7b"}
    return known.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}")


def _safe(line: str) -> str:
    """Its first character may not make it another kind of line, nor may a space get lost."""
    if line[:1] in ("=", "-", "~", "#", " "):
        line = f"\\x{ord(line[0]):02x}{line[1:]}"
    return line
