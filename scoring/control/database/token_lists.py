"""Managed lists in the database: lists, entries, imports, and what each changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from scoring.control.database.import_rows import import_from, import_values
from scoring.control.database.rows import next_number
from scoring.control.database.staging import stage
from scoring.control.database.tables import (
    HEADS,
    LIST_BEFORE,
    LIST_CHANGES,
    LIST_ENTRIES,
    LIST_IMPORTS,
    LIST_STAGED,
    LISTS,
)
from scoring.control.domain.entry_columns import EntryRow, entry_row
from scoring.control.domain.list_imports import ImportState, ListImport
from scoring.control.domain.managed_lists import (
    KeptList,
    ListDiff,
    ListedEntry,
    ListKind,
    NewEntry,
)
from scoring.errors import NotFound

_E, _S, _B = LIST_ENTRIES.c, LIST_STAGED.c, LIST_BEFORE.c
_ORIGIN = ("author", "source", "added_at_ms", "import_number")
_COPIED = ("token", "hash", "until_ms", "reason")
_PAGE = 50_000

# (hash, unsigned; until_ms) of entries.
Hashed = list[tuple[int, int]]


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
        of_it = update(LISTS).where(LISTS.c.name == info.name)
        self._connection.execute(of_it.values(_values(info)))

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

    def next_revision(self) -> int:
        """The next revision over all lists; the lock of writers makes it one's own."""
        revision = self._connection.execute(select(HEADS.c.list_revision)).scalar_one()
        self._connection.execute(update(HEADS).values(list_revision=revision + 1))
        return int(revision) + 1

    # Changes -------------------------------------------------------------------

    def add_change(self, name: str, values: dict[str, Any]) -> None:
        """Keep what a revision did."""
        self._connection.execute(insert(LIST_CHANGES).values(list=name, **values))

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

    def entries(self, name: str, *, after: str, count_max: int) -> list[ListedEntry]:
        """Entries in the order of their tokens, after one."""
        found = select(LIST_ENTRIES).where(_E.list == name, _E.token > after)
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
        values = dict(zip(_COPIED, entry_row(entry), strict=True)) | origin
        self._connection.execute(insert(LIST_ENTRIES).values(list=name, **values))

    def take_off(self, name: str, token: str) -> None:
        """Take a token off a list; no undo of an import brings it back."""
        of_it = delete(LIST_ENTRIES).where(_E.list == name, _E.token == token)
        self._connection.execute(of_it)
        before = delete(LIST_BEFORE).where(_B.token == token)
        self._connection.execute(before.where(_B.of_import.in_(_imports_of(name))))

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

    # Imports -------------------------------------------------------------------

    def next_import(self) -> int:
        """The number of the next import."""
        return next_number(self._connection, LIST_IMPORTS.c.number)

    def add_import(self, import_: ListImport) -> None:
        """Begin an import."""
        self._connection.execute(insert(LIST_IMPORTS).values(import_values(import_)))

    def save_import(self, import_: ListImport) -> None:
        """Keep what became of an import."""
        of_it = update(LIST_IMPORTS).where(LIST_IMPORTS.c.number == import_.number)
        self._connection.execute(of_it.values(import_values(import_)))

    def import_(self, name: str, number: int) -> ListImport:
        """An import of a list; raises `NotFound`."""
        found = select(LIST_IMPORTS).where(
            LIST_IMPORTS.c.list == name, LIST_IMPORTS.c.number == number
        )
        row = self._connection.execute(found).first()
        if row is None:
            raise NotFound(f"list {name!r} has no import {number}")
        return import_from(row)

    def imports(self, name: str, *, count_max: int) -> list[ListImport]:
        """The imports of a list, the newest first."""
        found = select(LIST_IMPORTS).where(LIST_IMPORTS.c.list == name)
        newest = found.order_by(LIST_IMPORTS.c.number.desc()).limit(count_max)
        return [import_from(row) for row in self._connection.execute(newest)]

    def applied_after(self, import_: ListImport) -> int | None:
        """The newest import that was applied to the same list after one."""
        later = and_(
            LIST_IMPORTS.c.list == import_.list,
            LIST_IMPORTS.c.state == ImportState.APPLIED.value,
            LIST_IMPORTS.c.revision > import_.revision,
        )
        found = select(func.max(LIST_IMPORTS.c.number)).where(later)
        newest: int | None = self._connection.execute(found).scalar_one()
        return newest

    def stage(self, number: int, entries: Sequence[EntryRow]) -> None:
        """Set entries aside for an import; each token of it once."""
        stage(self._connection, number, entries)

    def lapse(self, *, before_ms: int) -> None:
        """Forget files that were read before a time and never applied."""
        waits = (ImportState.READING.value, ImportState.READ.value)
        old = and_(LIST_IMPORTS.c.state.in_(waits), LIST_IMPORTS.c.at_ms < before_ms)
        numbers = select(LIST_IMPORTS.c.number).where(old)
        self._connection.execute(delete(LIST_STAGED).where(_S.of_import.in_(numbers)))
        lapsed = {"state": ImportState.LAPSED.value}
        self._connection.execute(update(LIST_IMPORTS).where(old).values(lapsed))

    def staged(self) -> int:
        """How many entries are set aside."""
        return self._count(select(func.count()).select_from(LIST_STAGED))

    def unstage(self, number: int) -> None:
        """Forget what was set aside for an import."""
        self._connection.execute(delete(LIST_STAGED).where(_S.of_import == number))

    def diff(self, import_: ListImport) -> ListDiff:
        """What an import would change now."""
        staged = self._count(
            select(func.count())
            .select_from(LIST_STAGED)
            .where(_S.of_import == import_.number)
        )
        both = and_(_S.of_import == import_.number, self._same_token(import_.list))
        matched = self._count(select(func.count()).where(both))
        changed = self._count(select(func.count()).where(both, _differs()))
        removed = 0
        if import_.replaces:
            held = select(func.count()).where(_E.list == import_.list)
            removed = self._count(held) - matched
        return ListDiff(
            added=staged - matched,
            changed=changed,
            removed=removed,
            unchanged=matched - changed,
            repeated=import_.diff.repeated,
        )

    def apply(self, import_: ListImport, origin: dict[str, Any]) -> None:
        """Put what was set aside on the list, keeping what that replaces."""
        number, name = import_.number, import_.list
        replaced = self._replaced(import_)
        kept = select(literal(number), *(_E[c] for c in (*_COPIED, *_ORIGIN)))
        columns = ["of_import", *_COPIED, *_ORIGIN]
        self._connection.execute(
            insert(LIST_BEFORE).from_select(
                columns, kept.where(_E.list == name, replaced)
            )
        )
        self._connection.execute(delete(LIST_ENTRIES).where(_E.list == name, replaced))
        held = exists().where(_E.list == name, _E.token == _S.token)
        told = [literal(origin[c]) for c in _ORIGIN]
        new = select(literal(name), *(_S[c] for c in _COPIED), *told)
        self._connection.execute(
            insert(LIST_ENTRIES).from_select(
                ["list", *_COPIED, *_ORIGIN], new.where(_S.of_import == number, ~held)
            )
        )
        self.unstage(number)

    def touched(self, number: int) -> Hashed:
        """Hashes that an applied import changed, with their ends now; 0: taken off."""
        put = select(_E.hash, _E.until_ms).where(_E.import_number == number)
        gone = select(_B.hash).where(
            _B.of_import == number,
            ~exists().where(_E.import_number == number, _E.token == _B.token),
        )
        return _unsigned(
            [*self._connection.execute(put)],
            [*self._connection.execute(gone)],
        )

    def touched_by_undo(self, import_: ListImport) -> Hashed:
        """Hashes that undoing an import changes, with their ends then; 0: taken off."""
        return _unsigned(
            [
                *self._connection.execute(
                    select(_B.hash, _B.until_ms).where(_comes_back(import_))
                )
            ],
            [*self._connection.execute(select(_E.hash).where(_came_by(import_)))],
        )

    def undo(self, import_: ListImport) -> int:
        """Bring back what an import changed, unless it was changed again since.

        Returns how many entries that changes.
        """
        back = _comes_back(import_)
        twice = exists().where(_came_by(import_), _E.token == _B.token)
        put = self._count(select(func.count()).where(back))
        both = self._count(select(func.count()).where(back, twice))
        gone = self._connection.execute(delete(LIST_ENTRIES).where(_came_by(import_)))
        columns = (*_COPIED, *_ORIGIN)
        brought = select(literal(import_.list), *(_B[c] for c in columns)).where(back)
        self._connection.execute(
            insert(LIST_ENTRIES).from_select(["list", *columns], brought)
        )
        of_it = _B.of_import == import_.number
        self._connection.execute(delete(LIST_BEFORE).where(of_it))
        return gone.rowcount + put - both

    def count(self, name: str) -> int:
        """How many entries a list has, those that ended among them."""
        return self._count(select(func.count()).where(_E.list == name))

    def _count(self, found: Select[Any]) -> int:
        return int(self._connection.execute(found).scalar_one())

    def _same_token(self, name: str) -> ColumnElement[bool]:
        return and_(_E.list == name, _E.token == _S.token)

    def _replaced(self, import_: ListImport) -> ColumnElement[bool]:
        """Of the entries of a list: those that an import changes or takes off."""
        of_it = and_(_S.of_import == import_.number, _S.token == _E.token)
        changed = exists().where(of_it, _differs())
        return or_(changed, ~exists().where(of_it)) if import_.replaces else changed


def _came_by(import_: ListImport) -> ColumnElement[bool]:
    """Of entries: what an import put on its list, and nobody changed since."""
    return and_(_E.list == import_.list, _E.import_number == import_.number)


def _comes_back(import_: ListImport) -> ColumnElement[bool]:
    """Of what an import replaced or took off: what nobody changed since."""
    others = or_(_E.import_number.is_(None), _E.import_number != import_.number)
    since = exists().where(_E.list == import_.list, _E.token == _B.token, others)
    return and_(_B.of_import == import_.number, ~since)


def _imports_of(name: str) -> Select[Any]:
    return select(LIST_IMPORTS.c.number).where(LIST_IMPORTS.c.list == name)


def _differs() -> ColumnElement[bool]:
    return or_(_E.until_ms != _S.until_ms, _E.reason != _S.reason)


def _unsigned(put: Sequence[Row[Any]], gone: Sequence[Row[Any]]) -> Hashed:
    ends = {row.hash % 2**64: 0 for row in gone}
    ends |= {row.hash % 2**64: row.until_ms for row in put}
    return list(ends.items())


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
