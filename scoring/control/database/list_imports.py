"""Imports into managed lists in the database: read, applied, undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    LIST_BEFORE,
    LIST_ENTRIES,
    LIST_IMPORTS,
    LIST_STAGED,
)
from scoring.control.database.token_lists import COPIED, ORIGIN
from scoring.control.domain.entry_columns import EntryRow
from scoring.control.domain.list_imports import ImportState, ListImport
from scoring.control.domain.managed_lists import ListDiff
from scoring.errors import NotFound

_E, _S, _B = LIST_ENTRIES.c, LIST_STAGED.c, LIST_BEFORE.c

# (hash, unsigned; until_ms) of entries.
Hashed = list[tuple[int, int]]


class ListImports:
    """The imports, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next_number(self) -> int:
        """The number of the next import."""
        return next_number(self._connection, LIST_IMPORTS.c.number)

    def add(self, import_: ListImport) -> None:
        """Begin an import."""
        self._connection.execute(insert(LIST_IMPORTS).values(import_values(import_)))

    def save(self, import_: ListImport) -> None:
        """Keep what became of an import."""
        of_it = update(LIST_IMPORTS).where(LIST_IMPORTS.c.number == import_.number)
        self._connection.execute(of_it.values(import_values(import_)))

    def numbered(self, name: str, number: int) -> ListImport:
        """An import of a list; raises `NotFound`."""
        found = select(LIST_IMPORTS).where(
            LIST_IMPORTS.c.list == name, LIST_IMPORTS.c.number == number
        )
        row = self._connection.execute(found).first()
        if row is None:
            raise NotFound(f"list {name!r} has no import {number}")
        return import_from(row)

    def newest(self, name: str, *, count_max: int) -> list[ListImport]:
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

    def refuse(self, number: int) -> None:
        """Forget what was set aside of a file that is not taken."""
        self.unstage(number)
        of_it = and_(
            LIST_IMPORTS.c.number == number,
            LIST_IMPORTS.c.state == ImportState.READING.value,
        )
        refused = {"state": ImportState.REFUSED.value}
        self._connection.execute(update(LIST_IMPORTS).where(of_it).values(refused))

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
        kept = select(literal(number), *(_E[c] for c in (*COPIED, *ORIGIN)))
        columns = ["of_import", *COPIED, *ORIGIN]
        self._connection.execute(
            insert(LIST_BEFORE).from_select(
                columns, kept.where(_E.list == name, replaced)
            )
        )
        self._connection.execute(delete(LIST_ENTRIES).where(_E.list == name, replaced))
        held = exists().where(_E.list == name, _E.token == _S.token)
        told = [literal(origin[c]) for c in ORIGIN]
        new = select(literal(name), *(_S[c] for c in COPIED), *told)
        self._connection.execute(
            insert(LIST_ENTRIES).from_select(
                ["list", *COPIED, *ORIGIN], new.where(_S.of_import == number, ~held)
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
        columns = (*COPIED, *ORIGIN)
        brought = select(literal(import_.list), *(_B[c] for c in columns)).where(back)
        self._connection.execute(
            insert(LIST_ENTRIES).from_select(["list", *columns], brought)
        )
        of_it = _B.of_import == import_.number
        self._connection.execute(delete(LIST_BEFORE).where(of_it))
        return gone.rowcount + put - both

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


def _differs() -> ColumnElement[bool]:
    return or_(_E.until_ms != _S.until_ms, _E.reason != _S.reason)


def _unsigned(put: Sequence[Row[Any]], gone: Sequence[Row[Any]]) -> Hashed:
    ends = {row.hash % 2**64: 0 for row in gone}
    ends |= {row.hash % 2**64: row.until_ms for row in put}
    return list(ends.items())
