"""Imports of files into lists as rows, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from scoring.control.domain.list_imports import ImportState, ListImport
from scoring.control.domain.managed_lists import ListDiff

_COUNTS = ("added", "changed", "removed", "unchanged", "repeated")


def import_from(row: Row[Any]) -> ListImport:
    """An import from its row."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
    diff = ListDiff(**{count: values.pop(count) for count in _COUNTS})
    return ListImport(**values | {"state": ImportState(row.state), "diff": diff})


def import_values(import_: ListImport) -> dict[str, Any]:
    """An import as a row."""
    values = {name: getattr(import_, name) for name in ListImport.__slots__}
    diff = values.pop("diff")
    return values | {"state": import_.state.value} | asdict(diff)
