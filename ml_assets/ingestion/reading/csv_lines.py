"""Which lines of a CSV file are rows: quotes that quote nothing, values of several lines, bytes of no encoding.

A parser that meets a quote at the beginning of a field reads on to the next quote, over line ends, and makes one value
of all rows between. So every line with a quote is looked at: a value of several lines is one when its quotes are closed
as they should be and the lines within do not look like rows. Otherwise the line with the quote is set aside, and
reading goes on with the line after it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml_assets.ingestion.reading.texts import BROKEN_BYTE, SEPARATOR_SAID, lines_of

LONGEST, LONGEST_HEADER = 10_000, 20
"""Lines that one value, and the header, may have."""
SURE = 3
"""So many lines that look like rows after a quote are rows."""
NUMBER_LIKE = re.compile(r"[+-]?\d[\d.,:/T +-]*")


@dataclass(frozen=True)
class Grammar:
    """How a line of a file with this separator is made."""

    delimiter: str

    @cached_property
    def _inside(self) -> str:
        return r'(?:[^"]|"")*+'

    @cached_property
    def _field(self) -> str:
        mark = re.escape(self.delimiter)
        return rf'(?:"{self._inside}"[ ]*+(?={mark}|$)|(?!")[^{mark}]*+)'

    @cached_property
    def whole(self) -> re.Pattern[str]:
        """A line in which every quote that begins a field is closed at the field's end."""
        mark = re.escape(self.delimiter)
        return re.compile(rf"{self._field}(?:{mark}{self._field})*+", re.DOTALL)

    @cached_property
    def opening(self) -> re.Pattern[str]:
        """A line that ends within a quoted value."""
        mark = re.escape(self.delimiter)
        return re.compile(rf'(?:{self._field}{mark})*+"{self._inside}', re.DOTALL)

    @cached_property
    def fields(self) -> re.Pattern[str]:
        """A field after its separator; a quote that is not closed in the line is text."""
        mark = re.escape(self.delimiter)
        return re.compile(rf'{mark}("{self._inside}"[ ]*+(?={mark}|$)|[^{mark}]*+)', re.DOTALL)

    def split(self, line: str) -> list[str]:
        """The fields of a line taken by itself."""
        return self.fields.findall(self.delimiter + line)

    def begins(self, line: str, row: str) -> bool:
        """Whether a line may be the beginning of a row like the other: numbers or times where that has them."""
        both = zip(self.split(line), self.split(row), strict=False)
        return all(
            not value.strip() or bool(NUMBER_LIKE.fullmatch(value.strip()))
            for value, other in both
            if NUMBER_LIKE.fullmatch(other.strip())
        )

    def like(self, line: str, row: str, width: int) -> bool:
        """Whether a line has the fields of a row: as many, and numbers or times where the other has them."""
        found, other = self.split(line), self.split(row)
        if len(found) != width or len(other) != width:
            return False
        numeric = [at for at, value in enumerate(other) if NUMBER_LIKE.fullmatch(value.strip())]
        fitting = [not found[at].strip() or bool(NUMBER_LIKE.fullmatch(found[at].strip())) for at in numeric]
        return all(fitting) if len(numeric) > 1 or width > 2 else bool(fitting) and all(fitting)


@dataclass
class Lines:
    """What the lines of a CSV file are.

    Attributes:
        first: the header as it is written.
        header: its fields, each in one line.
        header_lines: lines up to its end.
        rows: lines and values of several lines that are to be read as rows, without blank ones.
        places: of the rows that do not lie in the line after the row before, the number (from 0) and their line.
        apart: by line number, the lines that are no row.
        foreign: of those, the ones with a byte that is none of the encoding.
        accented: lines with a letter beyond ASCII.
        several: whether a value has several lines.
        last: number and text of the last line that is not blank.
        before_last: the text of the row before it; empty where that has several lines.
        ended: whether the last line ends.
    """

    first: str = ""
    header: list[str] = field(default_factory=list)
    header_lines: int = 0
    rows: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    apart: dict[int, str] = field(default_factory=dict)
    foreign: list[int] = field(default_factory=list)
    accented: int = 0
    several: bool = False
    last: tuple[int, str] = (0, "")
    before_last: str = ""
    ended: bool = True

    def lines_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The line, from 1, in which each of these rows (numbers from 0) begins."""
        starts, lines = np.array(self.places or [(0, 1)], dtype=np.int64).T
        at = np.searchsorted(starts, rows, side="right") - 1
        return np.asarray(rows - starts[at] + lines[at])


def scan(path: Path, encoding: str, delimiter: str) -> Lines:
    """Look at every line of a file once.

    Raises:
        UnicodeDecodeError: when a file of two-byte units breaks off within one.
    """
    grammar, found = Grammar(delimiter), Lines()
    ahead: deque[tuple[int, str]] = deque()
    source = enumerate(lines_of(path, encoding), 1)
    _header(grammar, source, found, ahead)
    further = 0
    while (taken := ahead.popleft() if ahead else next(source, None)) is not None:
        number, line = taken
        text = line.rstrip("\r\n")
        if not text:
            continue
        found.before_last, found.last, found.ended = found.last[1], (number, text), text != line
        if not text.isascii():
            found.accented += 1
            if BROKEN_BYTE.search(text):
                found.foreign.append(number)
                found.apart[number] = text
                continue
        if '"' in text and not grammar.whole.fullmatch(text):
            if not _is_value(grammar, text, source, ahead, found):
                found.apart[number] = text
                continue
            found.several = True
        if number - found.rows != further:
            further = number - found.rows
            found.places.append((found.rows, number))
        found.rows += 1
    return found


def header_of(path: Path, encoding: str, delimiter: str) -> list[str]:
    """The fields of a file's header, each in one line."""
    found = Lines()
    _header(Grammar(delimiter), enumerate(lines_of(path, encoding), 1), found, deque())
    return found.header


def _header(grammar: Grammar, source: Iterator[tuple[int, str]], found: Lines, ahead: deque[tuple[int, str]]) -> None:
    """Read the header, whose cells may have line breaks."""
    for number, line in source:
        text = line.rstrip("\r\n").removeprefix("\ufeff")
        if not text or SEPARATOR_SAID.fullmatch(text):
            continue
        found.header_lines = number
        held = [line]
        while '"' in text and grammar.opening.fullmatch(text) and len(held) < LONGEST_HEADER:
            more = next(source, None)
            if more is None:
                break
            ahead.append(more)
            held.append(more[1])
            text = "".join(held).rstrip("\r\n").removeprefix("\ufeff")
        if len(held) > 1 and grammar.whole.fullmatch(text):
            found.header_lines = number + len(held) - 1
            ahead.clear()
        else:
            text = line.rstrip("\r\n").removeprefix("\ufeff")
        found.first = text
        found.header = [_unquoted(cell) for cell in grammar.split(text)]
        return


def _unquoted(cell: str) -> str:
    bare = cell.strip()
    quoted = len(bare) > 1 and bare[0] == bare[-1] == '"'
    return " ".join((bare[1:-1].replace('""', '"') if quoted else bare).split())


def _is_value(
    grammar: Grammar, text: str, source: Iterator[tuple[int, str]], ahead: deque[tuple[int, str]], found: Lines
) -> bool:
    """Whether a line begins a value of several lines; if so they are taken from the source, else left in `ahead`."""
    if not grammar.opening.fullmatch(text):
        return False
    whole, alike = text, 0
    for taken in range(1, LONGEST):
        if taken > len(ahead):
            more = next(source, None)
            if more is None:
                return False
            ahead.append(more)
        number, line = ahead[taken - 1]
        bare = line.rstrip("\r\n")
        alike += grammar.like(bare, text, len(found.header))
        if BROKEN_BYTE.search(bare) or alike == taken >= SURE:
            return False
        whole += "\n" + bare
        if '"' not in bare or grammar.opening.fullmatch(whole):
            continue
        if not grammar.whole.fullmatch(whole) or 2 * alike >= taken:
            return False
        for _ in range(taken):
            ahead.popleft()
        found.before_last, found.last, found.ended = "", (number, bare), bare != line
        return True
    return False
