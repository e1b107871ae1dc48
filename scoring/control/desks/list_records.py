"""What the topic `control` is told of a list: a change, or a new base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scoring.control.database.unit_of_work import UnitOfWork
from scoring.control.domain.managed_lists import CHANGED_MAX, KeptList
from scoring.control.domain.people import Doing
from scoring.core.release.keys import key_of_change, key_of_chunk, key_of_list
from scoring.core.release.list_release import (
    ListBase,
    ListChange,
    ListEntry,
    chunk_id,
)
from scoring.lists.base import ROW
from scoring.wire.list_records import list_base_to_json, list_change_to_json

CHUNK_BYTES_MAX = 512_000
_ROWS_MAX = CHUNK_BYTES_MAX // ROW.itemsize


def revise(
    work: UnitOfWork,
    info: KeptList,
    what: str,
    touched: Sequence[tuple[int, int]] | None,
    doing: Doing,
) -> KeptList:
    """A revision of a list: kept, and on its way to the data plane."""
    info = replace(info, revision=work.revisions.next())
    published = _published(work, info, touched)
    values: dict[str, Any] = {
        "revision": info.revision,
        "what": what,
        "by": doing.person.name,
        "at_ms": doing.at_ms,
        "sent": published.changed > 0,
    }
    work.lists.add_change(info.name, values)
    work.lists.save(published)
    return published


def _published(
    work: UnitOfWork, info: KeptList, touched: Sequence[tuple[int, int]] | None
) -> KeptList:
    """Put into the outbox what a revision changed; the list as it is kept then.

    `touched` are hashes with their ends, 0 for what is off; None where that is all.
    """
    if touched is None or info.changed + len(touched) > CHANGED_MAX:
        return _base(work, info)
    entries = tuple(ListEntry(f"{hashed:016x}", until) for hashed, until in touched)
    change = ListChange(info.name, info.revision, entries)
    key = key_of_change(info.name, info.revision)
    work.outbox.add(key, list_change_to_json(change))
    return replace(info, changed=info.changed + len(touched))


def _base(work: UnitOfWork, info: KeptList) -> KeptList:
    """A new base, and the end of what it holds: its chunks first, then its manifest."""
    chunks = _chunks(work, info)
    count = sum(len(chunk) for chunk in chunks.values()) // ROW.itemsize
    base = ListBase(info.name, info.revision, tuple(chunks), count)
    held = [
        *(key_of_chunk(info.name, chunk) for chunk in info.chunks),
        *(
            key_of_change(info.name, each)
            for each in work.lists.sent_changes(info.name)
        ),
    ]
    work.outbox.add_all(
        [
            *((key_of_chunk(info.name, id_), raw) for id_, raw in chunks.items()),
            (key_of_list(info.name), list_base_to_json(base)),
            *((key, None) for key in held),
        ]
    )
    work.lists.now_in_base(info.name)
    return replace(info, chunks=tuple(chunks), changed=0)


def _chunks(work: UnitOfWork, info: KeptList) -> dict[str, bytes]:
    hashes, until = work.lists.hashed(info.name)
    rows = np.empty(len(hashes), ROW)
    rows["hash"], rows["until_ms"] = hashes, until
    parts = [rows[i : i + _ROWS_MAX].tobytes() for i in range(0, len(rows), _ROWS_MAX)]
    return {chunk_id(info.revision, n, part): part for n, part in enumerate(parts)}
