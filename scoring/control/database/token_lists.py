"""Managed lists in the database: lists, entries, and what each revision changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from scoring.control.database.tables import (
    LIST_BEFORE,
    LIST_CHANGES,
    LIST_ENTRIES,
    LIST_IMPORTS,
    LIST_STAGED,
    LISTS,
)
from scoring.control.domain.entry_columns import entry_row
from scoring.control.domain.list_imports import ImportState
from scoring.control.domain.managed_lists import (
    KeptList,
    ListedEntry,
    ListKind,
    NewEntry,
)
from scoring.errors import NotFound

_E, _B = LIST_ENTRIES.c, LIST_BEFORE.c
ORIGIN = ("author", "source", "added_at_ms", "import_number")
COPIED = ("token", "hash", "until_ms", "reason")
_PAGE = 50_000
_SAVE = update(LISTS).where(LISTS.c.name == bindparam("of_it"))
_LAST = chr(0x10FFFF)  # after every character of a token: it is not printable


class TokenLists:
    """The lists, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # Lists ---------------------------------------------------------------------

    def named(self, name: str) -> KeptList:
        """A list; raises `NotFound`."""
        row = self._connection.execute(
            select(LISTS).where(LISTS.c.name == name)
        ).first()
        if row is None:
            raise NotFound(
                f"no list {name!r}; `scoring lists show` names those there are"
            )
        return _kept(row)

    def changed_ms(self) -> dict[str, int]:
        """When each list was changed last; it is a change that it was made."""
        newest = and_(
            LIST_CHANGES.c.list == LISTS.c.name,
            LIST_CHANGES.c.revision == LISTS.c.revision,
        )
        found = select(LISTS.c.name, LIST_CHANGES.c.at_ms).where(newest)
        return {row.name: row.at_ms for row in self._connection.execute(found)}

    def exists(self, name: str) -> bool:
        """Whether there is a list of this name."""
        found = select(exists().where(LISTS.c.name == name))
        return bool(self._connection.execute(found).scalar_one())

    def all(self) -> list[KeptList]:
        """Every list, by name."""
        rows = self._connection.execute(select(LISTS).order_by(LISTS.c.name))
        return [_kept(row) for row in rows]

    def add(self, info: KeptList) -> None:
        """Add a list."""
        self._connection.execute(insert(LISTS).values(_values(info)))

    def save(self, info: KeptList) -> None:
        """Keep what became of a list."""
        self._connection.execute(_SAVE, _values(info) | {"of_it": info.name})

    def delete(self, name: str) -> None:
        """Delete a list with all that is kept of it; the audit stays."""
        for table in (LIST_BEFORE, LIST_STAGED):
            of_them = table.c.of_import.in_(_imports_of(name))
            self._connection.execute(delete(table).where(of_them))
        for table in (LIST_ENTRIES, LIST_CHANGES):
            self._connection.execute(delete(table).where(table.c.list == name))
        # Its imports keep their numbers: a file that is still read has one of them.
        ended = update(LIST_IMPORTS).values(list="", state=ImportState.LAPSED.value)
        self._connection.execute(ended.where(LIST_IMPORTS.c.list == name))
        self._connection.execute(delete(LISTS).where(LISTS.c.name == name))

    # Changes -------------------------------------------------------------------

    def add_change(self, name: str, values: dict[str, Any]) -> None:
        """Keep what a revision did."""
        self._connection.execute(insert(LIST_CHANGES), {"list": name, **values})

    def changes_after(self, name: str, revision: int, *, count_max: int) -> list[str]:
        """What was done to a list after a revision, the newest first."""
        rows = self._connection.execute(
            select(LIST_CHANGES)
            .where(LIST_CHANGES.c.list == name, LIST_CHANGES.c.revision > revision)
            .order_by(LIST_CHANGES.c.revision.desc())
            .limit(count_max)
        )
        return [f"revision {row.revision}: {row.what}, by {row.by}" for row in rows]

    def sent_changes(self, name: str) -> list[int]:
        """The revisions that the topic holds as changes of their own."""
        of_it = and_(LIST_CHANGES.c.list == name, LIST_CHANGES.c.sent)
        found = select(LIST_CHANGES.c.revision).where(of_it)
        return list(
            self._connection.execute(found.order_by(LIST_CHANGES.c.revision)).scalars()
        )

    def now_in_base(self, name: str) -> None:
        """Note that a base holds every change so far."""
        of_it = update(LIST_CHANGES).where(LIST_CHANGES.c.list == name)
        self._connection.execute(of_it.values(sent=False))

    # Entries -------------------------------------------------------------------

    def entry(self, name: str, token: str) -> ListedEntry | None:
        """The entry of a token, None where it is not on the list."""
        found = select(LIST_ENTRIES).where(_E.list == name, _E.token == token)
        row = self._connection.execute(found).first()
        return None if row is None else _entry(row)

    def entries(
        self, name: str, *, after: str, count_max: int, prefix: str = ""
    ) -> list[ListedEntry]:
        """Entries in the order of their tokens, after one; those with a prefix."""
        found = select(LIST_ENTRIES).where(_E.list == name, _E.token > after)
        if prefix:
            last = prefix + _LAST
            found = found.where(_E.token >= prefix, _E.token < last)
        rows = self._connection.execute(found.order_by(_E.token).limit(count_max))
        return [_entry(row) for row in rows]

    def all_entries(self, name: str) -> Iterator[ListedEntry]:
        """Every entry, in the order of tokens, however many."""
        found = select(LIST_ENTRIES).where(_E.list == name).order_by(_E.token)
        paged = found.execution_options(yield_per=_PAGE)
        for row in self._connection.execute(paged):
            yield _entry(row)

    def put(self, name: str, entry: NewEntry, origin: dict[str, Any]) -> None:
        """Put one entry on a list, in place of what the token had."""
        self.take_off(name, entry.token)
        values = dict(zip(COPIED, entry_row(entry), strict=True)) | origin
        self._connection.execute(insert(LIST_ENTRIES), {"list": name, **values})

    def take_off(self, name: str, token: str) -> None:
        """Take a token off a list; no undo of an import brings it back."""
        of_it = delete(LIST_ENTRIES).where(_E.list == name, _E.token == token)
        self._connection.execute(of_it)
        before = delete(LIST_BEFORE).where(_B.token == token)
        self._connection.execute(before.where(_B.of_import.in_(_imports_of(name))))

    def forget(self, name: str, token: str) -> int | None:
        """Keep nowhere that a list had or was to have a token.

        Returns how many entries it has then; None where nothing named the token.
        """
        of_it = delete(LIST_ENTRIES).where(_E.list == name, _E.token == token)
        found = self._connection.execute(of_it).rowcount
        for table in (LIST_BEFORE, LIST_STAGED):
            of_them = delete(table).where(
                table.c.token == token, table.c.of_import.in_(_imports_of(name))
            )
            found += self._connection.execute(of_them).rowcount
        for what in ("put on", "taken off"):
            told = update(LIST_CHANGES).where(
                LIST_CHANGES.c.list == name, LIST_CHANGES.c.what == f"{token!r} {what}"
            )
            forgotten = told.values(what=f"a forgotten token {what}")
            found += self._connection.execute(forgotten).rowcount
        return self.count(name) if found else None

    def empty(self, name: str) -> None:
        """Take every token off a list."""
        self._connection.execute(delete(LIST_ENTRIES).where(_E.list == name))

    def hashed(self, name: str) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The hashes of a list, rising, and their ends; of equal ones the last end."""
        found = select(_E.hash, _E.until_ms).where(_E.list == name)
        paged = found.execution_options(yield_per=_PAGE)
        parts = [
            np.fromiter(chain.from_iterable(page), np.int64, 2 * len(page))
            for page in self._connection.execute(paged).partitions()
        ]
        if not parts:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        rows = np.concatenate(parts).reshape(-1, 2)
        hashes, until = rows[:, 0].astype(np.uint64), rows[:, 1]
        order = np.lexsort((until, hashes))
        hashes, until = hashes[order], until[order]
        last = np.append(hashes[1:] != hashes[:-1], True)
        return hashes[last], until[last]

    def count(self, name: str) -> int:
        """How many entries a list has, those that ended among them."""
        return self._count(select(func.count()).where(_E.list == name))

    def _count(self, found: Select[Any]) -> int:
        return int(self._connection.execute(found).scalar_one())


def _imports_of(name: str) -> Select[Any]:
    return select(LIST_IMPORTS.c.number).where(LIST_IMPORTS.c.list == name)


def _kept(row: Row[Any]) -> KeptList:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
    chunks = tuple(json.loads(row.chunks))
    return KeptList(**values | {"kind": ListKind(row.kind), "chunks": chunks})


def _values(info: KeptList) -> dict[str, Any]:
    chunks = json.dumps(info.chunks)
    return asdict(info) | {"kind": info.kind.value, "chunks": chunks}


def _entry(row: Row[Any]) -> ListedEntry:
    return ListedEntry(
        token=row.token,
        until_ms=row.until_ms,
        reason=row.reason,
        author=row.author,
        source=row.source,
        added_at_ms=row.added_at_ms,
    )
