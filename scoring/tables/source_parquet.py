"""Parquet files: typed columns as exact text, structs as columns such as card.id."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from scoring.errors import BadArtifact
from scoring.tables.source import SourceRow, unreadable

_BATCH_ROWS_MAX = 8_192


class ParquetFile:
    """One Parquet file."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name

    @cached_property
    def _schema(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return _flat(pq.read_schema(self._path).empty_table()).schema
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error

    @property
    def columns(self) -> Sequence[str]:
        """Every column, structs taken apart."""
        names: list[str] = self._schema.names
        for name in names:
            if names.count(name) > 1:
                raise BadArtifact(
                    f"{self._name}: two columns are called {name!r}; rename one"
                )
        return names

    @property
    def floats(self) -> frozenset[str]:
        """The columns of floats: a whole number of more than 53 bits is none."""
        import pyarrow as pa

        return frozenset(f.name for f in self._schema if pa.types.is_floating(f.type))

    def records(self, _only: frozenset[str] | None = None, /) -> Iterator[SourceRow]:
        """Its rows; raises `BadArtifact` for a damaged file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        name, number = self._name, 0
        try:
            file = pq.ParquetFile(self._path)
            wanted = [
                top
                for top in file.schema_arrow.names
                if _only is None or any((c + ".").startswith(top + ".") for c in _only)
            ]
            wanted = wanted or file.schema_arrow.names[:1]  # its rows are counted
            for batch in file.iter_batches(_BATCH_ROWS_MAX, columns=wanted):
                flat = _flat(pa.Table.from_batches([batch]))
                texts = {c: _texts(flat[c].combine_chunks()) for c in flat.column_names}
                for i in range(flat.num_rows):
                    number += 1
                    cells = {
                        column: text
                        for column, values in texts.items()
                        if (text := values[i]) is not None
                    }
                    yield SourceRow(name, number, cells)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self._path, error) from error


def _flat(table: Any) -> Any:
    import pyarrow as pa

    while any(pa.types.is_struct(f.type) for f in table.schema):
        table = table.flatten()
    return table


def _texts(column: Any) -> list[str | None]:
    """Each value as the shortest text that means it exactly; NaN is no value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _texts(column.dictionary_decode())
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    elif pa.types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(pa.timestamp(kind.unit, "UTC"))
    try:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowException, UnicodeError):
        return [_json(value) for value in column.to_pylist()]
    return texts


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=repr)
