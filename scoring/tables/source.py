"""Table files as rows of text: no cell has a type until a mapping gives it one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from scoring.errors import BadArtifact

_SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "json", ".ndjson": "json",
    ".json": "json", ".parquet": "parquet",
}  # fmt: skip
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_HIVE_NOTHING = "__HIVE_DEFAULT_PARTITION__"  # where a column to part by had no value
_UNICODE_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class SourceRow:
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

    def records(self, _only: frozenset[str] | None = None, /) -> Iterator[SourceRow]:
        """Its rows; `_only` names the columns that are wanted, where that is known."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a path names, united by the names of their columns.

    A path is a file, a directory (as Spark writes them) or a pattern. Folders such as
    `day=2024-01-05` within it are columns.
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

    def records(self, only: frozenset[str] | None = None) -> Iterator[SourceRow]:
        """Every row of every file; raises `BadArtifact` where a file ends badly."""
        for file in self.files:
            yield from file.records(only)

    def sample(self, rows: int) -> list[SourceRow]:
        """The first rows."""
        return list(islice(self.records(), rows))


def open_source(path: Path, *, encoding: str = "") -> Source:
    """The table at a path; raises `BadArtifact` for what is none."""
    if path.is_file():
        return Source(path, (_opened(path, encoding, path.name),))
    return Source(path, tuple(_files(path, encoding)))


def _files(path: Path, encoding: str) -> Iterator[TextFile]:
    """The files of a directory or a pattern, each with the columns of its folders."""
    root, found = path, []
    if path.is_dir():
        found = [f for f in path.rglob("*") if _kind(f)]
    elif "*" in str(path):
        parts = path.parts
        fixed = next(i for i, part in enumerate(parts) if "*" in part)
        root = Path(*parts[:fixed])
        found = list(root.glob("/".join(parts[fixed:])))
    kept = [f for f in sorted(found) if f.is_file() and not _is_hidden(f, root)]
    if not kept:
        raise BadArtifact(f"{path}: there is no such file")
    for file in kept:
        below = file.relative_to(root)
        opened = _opened(file, encoding, below.as_posix())
        folders = _of_folders(below)
        yield Partition(opened, folders) if folders else opened


def _is_hidden(file: Path, root: Path) -> bool:
    """Whether it is no data, as Spark and others mark it."""
    return any(part.startswith((".", "_")) for part in file.relative_to(root).parts)


def _of_folders(below: Path) -> dict[str, str]:
    """What the names of folders say of every row in them, as Hive writes it.

    >>> _of_folders(Path("day=2024-01-05/bank=a%2Fb/part-0.parquet"))
    {'day': '2024-01-05', 'bank': 'a/b'}
    """
    said = [part.partition("=") for part in below.parts[:-1] if "=" in part[1:]]
    return {unquote(name): unquote(value) for name, _, value in said}


@dataclass(frozen=True, slots=True)
class Partition:
    """A file whose folders say more of each of its rows."""

    file: TextFile
    folders: dict[str, str]

    @property
    def columns(self) -> Sequence[str]:
        """Those of the file, and those of the folders."""
        own = self.file.columns
        for name in self.folders:
            if name in own:
                raise BadArtifact(
                    f"{name}: is a column and a folder's name, as in {name}=…; "
                    "rename one"
                )
        return (*own, *self.folders)

    @property
    def floats(self) -> frozenset[str]:
        """Those of the file."""
        return self.file.floats

    def records(self, only: frozenset[str] | None = None, /) -> Iterator[SourceRow]:
        """The rows of the file, with the cells that its folders give them."""
        said = {
            name: value
            for name, value in self.folders.items()
            if value != _HIVE_NOTHING
        }
        for record in self.file.records(only):
            if not record.problem:
                record.cells.update(said)
            yield record


def _kind(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _PACKED]
    return _SUFFIXES.get(suffixes[-1], "") if suffixes else ""


def _opened(path: Path, encoding: str, name: str) -> TextFile:
    from scoring.tables.source_csv import CsvFile
    from scoring.tables.source_json import JsonFile
    from scoring.tables.source_parquet import ParquetFile

    kind = _kind(path)
    if kind == "parquet":
        return ParquetFile(path, name)
    if kind == "json":
        return JsonFile(path, name, encoding)
    if kind == "csv":
        return CsvFile(path, name, encoding)
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
    except LookupError as error:
        raise BadArtifact(
            f"{encoding}: is no encoding that is known, such as windows-1252 or latin-1"
        ) from error
    except UnicodeError as error:
        named = encoding.removesuffix("-sig").upper()
        raise BadArtifact(
            f"{path.name}: is not {named}; save it as UTF-8, or say what it is, by "
            "--encoding windows-1252 or in the mapping, as in encoding: windows-1252 "
            "(or latin-1)"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> BadArtifact:
    """The refusal of a file that its library cannot read."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return BadArtifact(f"{path.name}: cannot be read as a table: {first}")
