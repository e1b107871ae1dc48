"""Table files as rows of text: no cell has a type until a mapping gives it one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from scoring.errors import BadArtifact

_SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "json", ".ndjson": "json",
    ".json": "json", ".parquet": "parquet",
}  # fmt: skip
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_UNICODE_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it is written; an absent cell is not in `cells`.

    `number` counts the rows of its file from 1, without the header. `problem` says
    why a row cannot be taken apart into cells.
    """

    file: str
    number: int
    cells: dict[str, str] = field(default_factory=dict)
    problem: str = ""


class TextFile(Protocol):
    """One file as rows of text."""

    @property
    def columns(self) -> Sequence[str]:
        """Its columns in order, as far as they are known before it is read."""
        ...

    @property
    def floats(self) -> frozenset[str]:
        """The columns whose values were floats before they were text."""
        ...

    def records(self, _only: frozenset[str] | None = None, /) -> Iterator[Record]:
        """Its rows; `_only` names the columns that are wanted, where that is known."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a path names, united by the names of their columns.

    A path is a file, a directory (as Spark writes them) or a pattern.
    """

    path: Path
    files: tuple[TextFile, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column's name, in order of appearance."""
        return tuple(dict.fromkeys(c for file in self.files for c in file.columns))

    @property
    def floats(self) -> frozenset[str]:
        """The columns whose values were floats before they were text."""
        return frozenset().union(*(file.floats for file in self.files))

    def records(self, only: frozenset[str] | None = None) -> Iterator[Record]:
        """Every row of every file; raises `BadArtifact` where a file ends badly."""
        for file in self.files:
            yield from file.records(only)

    def sample(self, rows: int) -> list[Record]:
        """The first rows."""
        return list(islice(self.records(), rows))


def open_source(path: Path, *, encoding: str = "") -> Source:
    """The table at a path; raises `BadArtifact` for what is none."""
    return Source(path, tuple(_opened(file, encoding) for file in _files(path)))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [
            file
            for file in sorted(path.rglob("*"))
            if _kind(file) and not file.name.startswith((".", "_")) and file.is_file()
        ]
    else:
        found = sorted(path.parent.glob(path.name)) if "*" in path.name else []
    if not found:
        raise BadArtifact(f"{path}: there is no such file")
    return found


def _kind(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _PACKED]
    return _SUFFIXES.get(suffixes[-1], "") if suffixes else ""


def _opened(path: Path, encoding: str) -> TextFile:
    from scoring.tables.source_csv import CsvFile
    from scoring.tables.source_json import JsonFile
    from scoring.tables.source_parquet import ParquetFile

    kind = _kind(path)
    if kind == "parquet":
        return ParquetFile(path)
    if kind == "json":
        return JsonFile(path, encoding)
    if kind == "csv":
        return CsvFile(path, encoding)
    raise BadArtifact(
        f"{path.name}: is none of {', '.join(_SUFFIXES)} (.gz and .zst allowed)"
    )


@contextmanager
def text_of(path: Path, encoding: str) -> Iterator[Any]:
    """A file as text with its line ends as they are; `BadArtifact` where it is none.

    Without an encoding it is UTF-8, or UTF-16 where its byte order mark says so.
    """
    from io import TextIOWrapper

    import pyarrow as pa

    packed = _PACKED.get(path.suffix.lower())
    try:
        with pa.input_stream(str(path), compression=packed) as head:
            start = head.read(4)
        encoding = encoding or _UNICODE_MARKS.get(start[:2], "utf-8-sig")
        if b"\0" in start and encoding == "utf-8-sig":
            raise BadArtifact(
                f"{path.name}: looks like UTF-16 without its byte order mark; say "
                "encoding: utf-16-le (or utf-16-be) in the mapping"
            )
        with pa.input_stream(str(path), compression=packed) as raw:
            yield TextIOWrapper(raw, encoding=encoding, newline="")
    except UnicodeError as error:
        named = encoding.removesuffix("-sig").upper()
        raise BadArtifact(
            f"{path.name}: is not {named}; save it as UTF-8, or say what it is in the "
            "mapping, as in encoding: windows-1252 (or latin-1)"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> BadArtifact:
    """The refusal of a file that its library cannot read."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return BadArtifact(f"{path.name}: cannot be read as a table: {first}")
