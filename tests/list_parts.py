"""Managed lists as the control plane sends them, for tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scoring.core.release.keys import ControlKey
from scoring.core.release.list_release import (
    ListBase,
    ListChange,
    ListEntry,
    chunk_id,
    token_hash,
)
from scoring.lists.base import ROW
from scoring.wire.list_records import list_base_to_json, list_change_to_json

Record = tuple[ControlKey, bytes | None]


def rows(entries: Mapping[str, int]) -> bytes:
    """The rows of a base: token to end, sorted by hash."""
    made = np.array(
        sorted((token_hash(token), until) for token, until in entries.items()), ROW
    )
    return made.tobytes()


def chunks_of(
    entries: Mapping[str, int], revision: int, *, rows_max: int = 3
) -> dict[str, bytes]:
    """Chunks by their ids, in order."""
    raw, size = rows(entries), rows_max * ROW.itemsize
    parts = [raw[start : start + size] for start in range(0, len(raw), size)]
    return {chunk_id(revision, n, part): part for n, part in enumerate(parts)}


def base_records(
    name: str, revision: int, entries: Mapping[str, int], *, rows_max: int = 3
) -> list[Record]:
    """A whole base, as it stands in the topic: its chunks, then its manifest."""
    chunks = chunks_of(entries, revision, rows_max=rows_max)
    manifest = ListBase(name, revision, tuple(chunks), len(entries))
    return [
        *((ControlKey(list=name, chunk=id_), raw) for id_, raw in chunks.items()),
        (ControlKey(list=name), list_base_to_json(manifest)),
    ]


def change_record(name: str, revision: int, entries: Mapping[str, int]) -> Record:
    """One change: token to end, 0 for one that is off the list."""
    told = tuple(
        ListEntry(f"{token_hash(token):016x}", until)
        for token, until in entries.items()
    )
    value = list_change_to_json(ListChange(name, revision, told))
    return ControlKey(list=name, change=revision), value
