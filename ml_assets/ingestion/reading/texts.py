"""What a text file is before anything of it is read: another kind of file, its encoding, its separator.

One set of rules for ingestion, the scaffold and `score`: the scaffold takes what is found here, ingestion keeps to what
the contract says and names what is found where the two differ.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_assets.config.ingestion_error import IngestionError

UTF8 = "utf-8"
WINDOWS = "cp1252"
"""What bytes that are no UTF-8 are taken for: Latin-1 with letters, quotes and the euro in place of 80-9F."""
DELIMITERS = (",", ";", "\t", "|")
NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
OTHER_KINDS = (
    (b"PK\x03\x04", "a zip archive, as an .xlsx workbook is"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "compressed by gzip"), (b"PAR1", "a Parquet file"), (b"SQLite format 3", "an SQLite database"),
)  # fmt: skip
TOLERATED = 0.02
"""Share of lines or values that may differ from all others and are set aside; more of them are no exception."""
SEPARATOR_SAID = re.compile("sep=.", re.IGNORECASE)
"""A first line that Excel writes: it says the separator and is no header."""
BROKEN_BYTE = re.compile("[\udc80-\udcff]")
HEAD = 1 << 16


@dataclass(frozen=True)
class Assumed:
    """An encoding, and why it is taken for that one; `why` is empty where there is nothing to assume."""

    encoding: str
    why: str = ""


def encoding_of(path: Path) -> Assumed:
    """The encoding a text file is in: by its byte order mark, UTF-8 where it is that, else Windows-1252.

    Raises:
        IngestionError: when it is no text file.
    """
    check_kind(path)
    marked = _marked(path)
    if marked == "utf-8-sig":
        marked = None
    if marked is not None:
        return Assumed(marked, f"{path.name} is read as {marked}: {_mark_words(path)}")
    valid, broken = 0, 0
    first: tuple[int, bytes] | None = None
    with path.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            if line.isascii():
                continue
            try:
                line.decode(UTF8)
                valid += 1
            except UnicodeDecodeError:
                broken += 1
                first = first or (number, line)
    if first is None or valid >= broken:
        return Assumed(UTF8)
    number, line = first
    shown = line.decode(WINDOWS, "replace").strip()[:60]
    why = f"{path.name} is not UTF-8 and is read as {WINDOWS} (Windows, western Europe): line {number} is {shown!r}"
    return Assumed(WINDOWS, why + f"; if that is not what it says, name another `encoding`, not {WINDOWS}, in the YAML")


def check_kind(path: Path) -> None:
    """Refuse what is no text file.

    Raises:
        IngestionError: saying what it is.
    """
    with path.open("rb") as opened:
        head = opened.read(16)
    for mark, kind in OTHER_KINDS:
        if head.startswith(mark):
            remedy = "deliver it as CSV, JSON lines or Parquet, under a name with that suffix"
            raise IngestionError(f"the file is {kind}, whatever its name says", file=path, remedy=remedy)


def check_encoding(path: Path, encoding: str) -> None:
    """Refuse a file whose first bytes say another encoding than the contract.

    Raises:
        IngestionError: saying which.
    """
    check_kind(path)
    try:
        said = codecs.lookup(encoding).name
    except LookupError as error:
        remedy = "write one that Python knows, e.g. utf-8, cp1252 or utf-16"
        raise IngestionError(f"there is no encoding {encoding!r}", file=path, remedy=remedy) from error
    marked = _marked(path)
    if marked is None or marked == "utf-8-sig" or said.startswith(marked):
        return
    problem = f"the file is {marked} ({_mark_words(path)}) and is to be read as {encoding}"
    remedy = f"say `encoding: {marked}` where the table is declared, or deliver the file as UTF-8"
    raise IngestionError(problem, file=path, remedy=remedy)


def _marked(path: Path) -> str | None:
    """The encoding that the first bytes say: a mark, or every other byte zero."""
    with path.open("rb") as opened:
        head = opened.read(4096)
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    half = len(head) // 2
    if half >= 4 and head[1::2].count(0) > 0.5 * half and head[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if half >= 4 and head[::2].count(0) > 0.5 * half and head[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None


def _mark_words(path: Path) -> str:
    with path.open("rb") as opened:
        head = opened.read(4)
    marked = any(head.startswith(mark) for mark, _ in MARKS)
    return f"it begins with the byte order mark {head[:2].hex(' ')}" if marked else "every other byte is zero"


def delimiter_of(path: Path, encoding: str, usual: str = "") -> str:
    """The separator that parts the first line and most of the lines after it into as many fields; else a comma.

    Args:
        path: of the file.
        encoding: it is in.
        usual: the one that is taken where no other fits better.
    """
    with path.open(encoding=encoding, errors="replace", newline="") as opened:
        lines = [line for line in opened.read(HEAD).splitlines() if line.strip("\ufeff ")][:101]
    lines = lines[SEPARATOR_SAID.fullmatch(lines[0].strip("\ufeff")) is not None :] if lines else lines
    marks = dict.fromkeys([*([usual] if usual else []), *DELIMITERS])
    counts = {mark: [_outside(line, mark) for line in lines] for mark in marks}
    fitting = {mark: sum(count == found[0] for count in found) for mark, found in counts.items() if found and found[0]}
    if not fitting:  # a line break in the header: by what most lines have
        fitting = {mark: sum(count > 0 for count in found) for mark, found in counts.items() if any(found)}
    return max(fitting, key=lambda mark: (fitting[mark], mark == usual, counts[mark][0]), default=usual or ",")


def _outside(line: str, mark: str) -> int:
    """How often a separator occurs outside of quotes."""
    return sum(part.count(mark) for part in line.split('"')[::2])


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file with their ends; a byte that is none of its encoding becomes a lone surrogate.

    Raises:
        UnicodeDecodeError: when a file of two-byte units breaks off within one.
    """
    bytewise = not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    with path.open(encoding=encoding, errors="surrogateescape" if bytewise else "strict", newline="") as opened:
        yield from opened


def readable(line: str) -> str:
    r"""A line for people: a byte that is none of the encoding as \xff."""
    return BROKEN_BYTE.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", line)
