"""CSV files as people have them: any delimiter, marks before the header, odd rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from re import sub
from typing import Any

from scoring.errors import BadArtifact
from scoring.tables.source import SourceRow, text_of

_DELIMITERS = ",;\t|"
_PREAMBLE_LINES_MAX = 20
_CELL_CHARACTERS_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class _Opened:
    """A reader behind its header."""

    header: list[str]
    reader: Any


class CsvFile:
    """One CSV file."""

    floats: frozenset[str] = frozenset()

    def __init__(self, path: Path, name: str, encoding: str) -> None:
        self._path = path
        self._name = name
        self._encoding = encoding

    @cached_property
    def columns(self) -> Sequence[str]:
        """The names in the header."""
        with text_of(self._path, self._encoding) as lines:
            return self._opened(lines).header

    def records(self, _only: frozenset[str] | None = None, /) -> Iterator[SourceRow]:
        """Its rows; raises `BadArtifact` for a quote that is never closed."""
        name, number = self._name, 0
        with text_of(self._path, self._encoding) as lines:
            opened = self._opened(lines)
            header, reader = opened.header, opened.reader
            while True:
                began = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    number += 1
                    yield SourceRow(name, number, problem=self._odd(error, began))
                    continue
                if not cells:
                    continue  # an empty line is no row
                number += 1
                if len(cells) == len(header):
                    yield SourceRow(name, number, dict(zip(header, cells, strict=True)))
                else:
                    yield SourceRow(
                        name,
                        number,
                        problem=f"has {len(cells)} cells, the header {len(header)}",
                    )

    def _odd(self, error: csv.Error, line: int) -> str:
        if "unexpected end" in str(error):
            raise BadArtifact(
                f"{self._name}: a quote opened near line {line} is never closed"
            ) from error
        return "is no proper CSV: text follows a closing quote"

    def _opened(self, lines: Any) -> _Opened:
        csv.field_size_limit(_CELL_CHARACTERS_MAX)
        first, delimiter = _first_line(lines)
        if not delimiter:
            tabs = ".tsv" in self._path.suffixes
            delimiter = "\t" if tabs else _delimiter(first)
        reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise BadArtifact(
                f"{self._name}: its header is no proper CSV: {error}"
            ) from error
        names = [
            name.strip() or f"column {i}" for i, name in enumerate(header, start=1)
        ]
        if not header:
            raise BadArtifact(f"{self._name}: is empty; it needs a header")
        for name in names:
            if names.count(name) > 1:
                raise BadArtifact(
                    f"{self._name}: two columns are called {name!r}; rename one"
                )
        return _Opened(names, reader)


def _first_line(lines: Any) -> tuple[str, str]:
    """The header's first line, and the delimiter where a line before it says one."""
    delimiter = ""
    for _ in range(_PREAMBLE_LINES_MAX):
        line = next(lines, "")
        bare = line.strip("\r\n")
        if bare[:4].lower() == "sep=" and len(bare) == len("sep=,"):
            delimiter = bare[4]
        elif line and (not bare.strip() or _is_comment(bare)):
            continue
        else:
            return line, delimiter
    return line, delimiter


def _is_comment(line: str) -> bool:
    """Whether a line before the header is a remark, not the header itself."""
    return line.startswith("#") and not any(mark in line for mark in _DELIMITERS)


def _delimiter(header: str) -> str:
    """The mark that parts the most names."""
    bare = sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=bare.count)
