"""What people do with managed lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import UnitOfWork, reading, writing
from scoring.control.desks.list_records import revise
from scoring.control.domain import managed_lists
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.entry_columns import EntryRow
from scoring.control.domain.list_file import ListFile
from scoring.control.domain.list_imports import (
    READ_KEPT_MS,
    ImportState,
    ListImport,
)
from scoring.control.domain.lists_in_use import HOLDING, deletable
from scoring.control.domain.managed_lists import (
    KeptList,
    ListedEntry,
    NewEntry,
    checked_entry,
    fits,
    unchanged_since,
)
from scoring.control.domain.people import By, Doing, Person, Right
from scoring.control.domain.policy_life import PolicyVersion
from scoring.control.domain.wordings import checked_why
from scoring.core.release.list_release import REMOVED_MS, token_hash
from scoring.errors import InvalidTransaction, NotPossible

_STAGED_COUNT = 50_000  # so many entries are set aside in one transaction
_TOLD_MAX = 20  # changes since, in a refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryWish:
    """A token as somebody wants it listed; `expires` is an instant, "" for never."""

    token: str
    expires: str = ""
    reason: str = ""
    source: str = "by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWish:
    """A file as somebody wants it read; `source` is its name.

    With `replaces`, what it lacks comes off the list.
    """

    source: str
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """A list as it is now; `changed` is False where it was so already."""

    info: KeptList
    changed: bool
    entry: ListedEntry | None = None


class ListDesk:
    """Every action on lists: each is one transaction with its audit and its records.

    `now_ms` is the clock (UTC). Where an action takes `revision`, it is the one that
    the person read; a list that was changed since raises `ChangedMeanwhile`. What is
    so already changes nothing, and is not recorded.

    Blocks on the database. Raises `Denied`, `NotFound`, `NotPossible`,
    `InvalidTransaction`, `BadArtifact` for a file, and `DatabaseUnavailable`; then
    nothing was changed.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    # Lists ---------------------------------------------------------------------

    def create(
        self, by: By, name: str, *, kind: str, field: str, about: str = ""
    ) -> KeptList:
        """A new list of the values of a field, without entries."""
        with self._doing(by) as (work, doing):
            info = managed_lists.new_list(name, kind=kind, field=field, about=about)
            info = replace(info, by=by.person.name, created_at_ms=doing.at_ms)
            if work.lists.exists(name):
                raise NotPossible(f"there is a list {name!r} already")
            work.lists.add(info)
            # A list of this name may have been deleted: the topic says it is empty.
            revise(work, info, "created", None, doing)
            _record(work, "list.create", info, doing, after=_of(info))
            return work.lists.named(name)

    def delete(self, by: By, name: str, *, revision: int | None = None) -> None:
        """Delete a list and its entries, unless a policy that runs names it."""
        with self._doing(by, "a list is deleted with its reason") as (work, doing):
            info = self._read(work, name, revision)
            deletable(name, _that_may_run(work))
            work.lists.empty(name)
            revise(work, info, "deleted", None, doing)
            work.lists.delete(name)
            _record(work, "list.delete", info, doing, before=_of(info))

    # Entries -------------------------------------------------------------------

    def put(
        self, by: By, name: str, wish: EntryWish, *, revision: int | None = None
    ) -> ListAnswer:
        """Put a token on a list, until an instant of event time or for ever."""
        with self._doing(by) as (work, doing):
            info = self._read(work, name, revision)
            entry = checked_entry(info.field, wish.token, wish.expires, wish.reason)
            return put_entry(work, info, entry, _source(wish.source), doing)

    def take_off(
        self, by: By, name: str, token: str, *, revision: int | None = None
    ) -> ListAnswer:
        """Take a token off a list."""
        with self._doing(by) as (work, doing):
            info = self._read(work, name, revision)
            before = work.lists.entry(name, token)
            if before is None:
                return ListAnswer(info, changed=False)
            work.lists.take_off(name, token)
            info = replace(info, count=info.count - 1)
            touched = [(token_hash(token), REMOVED_MS)]
            info = revise(work, info, f"{token!r} taken off", touched, doing)
            _record(work, "list.take_off", info, doing, before=asdict(before))
            return ListAnswer(info, changed=True)

    # Files ---------------------------------------------------------------------

    def read_file(
        self, by: By, name: str, wish: FileWish, lines: Iterable[bytes]
    ) -> ListImport:
        """Read a file beside its list and say what it would change: the dry run."""
        return self.read_lines(self.begin(by, name, wish), lines)

    def begin(self, by: By, name: str, wish: FileWish) -> ListImport:
        """An import, of which nothing is read yet."""
        with self._doing(by) as (work, doing):
            begun = ListImport(
                number=work.imports.next_number(),
                list=name,
                source=_source(wish.source),
                replaces=wish.replaces,
                revision=work.lists.named(name).revision,
                by=by.person.name,
                at_ms=doing.at_ms,
            )
            work.imports.lapse(before_ms=doing.at_ms - READ_KEPT_MS)
            work.imports.add(begun)
        return begun

    def read_lines(
        self,
        begun: ListImport,
        lines: Iterable[bytes],
        *,
        progress: Callable[[int], None] = lambda _: None,
    ) -> ListImport:
        """Read the lines of an import's file: what it would change.

        `progress` is told how many entries were read, then how many with those that
        were set aside. A file with a mistake is refused whole.
        """
        try:
            with reading(self._database) as work:
                field = work.lists.named(begun.list).field
            file = ListFile(begun.source, field)
            self._stage(begun, file.entries(lines, progress), progress)
            read = replace(begun, state=ImportState.READ, sha256=file.sha256)
        except BaseException:
            with self._database.writing() as connection:
                UnitOfWork(connection).imports.refuse(begun.number)
            raise
        with writing(self._database) as work:
            work.imports.numbered(begun.list, begun.number)
            counted = replace(begun.diff, repeated=file.repeated)
            read = replace(read, diff=counted)
            read = replace(read, diff=work.imports.diff(read))
            work.imports.save(read)
        return read

    def apply(
        self, by: By, name: str, number: int, *, revision: int | None = None
    ) -> ListImport:
        """Apply an import that was read: all of it, in one revision."""
        with self._doing(by) as (work, doing):
            info = self._read(work, name, revision)
            import_ = work.imports.numbered(name, number).to_be_applied()
            was_read = info.revision == import_.revision
            diff = import_.diff if was_read else work.imports.diff(import_)
            fits(info, info.count + diff.added - diff.removed)
            info = replace(info, count=info.count + diff.added - diff.removed)
            applied = import_.applied(diff, revision=info.revision, at_ms=doing.at_ms)
            origin = _origin(doing, import_.source, number)
            work.imports.apply(import_, origin)
            touched = work.imports.touched(number) if _is_told(applied) else None
            if diff.touched:
                told = f"import {number}: +{diff.added} ~{diff.changed} -{diff.removed}"
                info = revise(work, info, told, touched, doing)
            applied = replace(applied, revision=info.revision)
            work.imports.save(applied)
            _record(work, "list.import", info, doing, after=applied.told)
            return applied

    def undo(self, by: By, name: str, number: int) -> ListImport:
        """Bring back what an import changed; what was changed since stays as it is."""
        with self._doing(by) as (work, doing):
            info = self._read(work, name, None)
            undone = work.imports.numbered(name, number).undone(doing.at_ms)
            if later := work.imports.applied_after(undone):
                raise NotPossible(f"undo import {later} of list {name!r} first")
            touched = work.imports.touched_by_undo(undone) if _is_told(undone) else None
            entries = work.imports.undo(undone)
            info = replace(info, count=work.lists.count(name))
            if entries:
                told = f"import {number} undone"
                info = revise(work, info, told, touched, doing)
            work.imports.save(undone)
            after = {"import": number, "entries": entries}
            _record(work, "list.undo_import", info, doing, after=after)
            return undone

    def _stage(
        self,
        begun: ListImport,
        entries: Sequence[EntryRow],
        progress: Callable[[int], None],
    ) -> None:
        """Set entries aside, some at a time: others can write meanwhile.

        Raises `NotFound` where somebody deleted the list meanwhile.
        """
        for start in range(0, len(entries), _STAGED_COUNT):
            part = entries[start : start + _STAGED_COUNT]
            with writing(self._database) as work:
                work.imports.numbered(begun.list, begun.number)
                work.imports.stage(begun.number, part)
            progress(len(entries) + start + len(part))

    # Reading -------------------------------------------------------------------

    @contextmanager
    def read(self, person: Person) -> Iterator[UnitOfWork]:
        """What is kept, as of one instant, for whoever may read."""
        person.needs(Right.READ)
        with reading(self._database) as work:
            yield work

    # ---------------------------------------------------------------------------

    def _read(self, work: UnitOfWork, name: str, revision: int | None) -> KeptList:
        info = work.lists.named(name)
        since: Sequence[str] = ()
        if revision is not None and revision != info.revision:
            since = work.lists.changes_after(name, revision, count_max=_TOLD_MAX)
        unchanged_since(info, revision, since)
        return info

    @contextmanager
    def _doing(self, by: By, *because: str) -> Iterator[tuple[UnitOfWork, Doing]]:
        by.person.needs(Right.CHANGE_LISTS)
        why = checked_why(by.why, because=because)
        with writing(self._database) as work:
            yield work, replace(by, why=why).at(self._now_ms())


def put_entry(
    work: UnitOfWork, info: KeptList, entry: NewEntry, source: str, doing: Doing
) -> ListAnswer:
    """Put one entry on a list, within somebody's transaction."""
    before = work.lists.entry(info.name, entry.token)
    if before and (before.until_ms, before.reason) == (entry.until_ms, entry.reason):
        return ListAnswer(info, changed=False, entry=before)
    fits(info, info.count + (before is None))
    work.lists.put(info.name, entry, _origin(doing, source, None))
    info = replace(info, count=info.count + (before is None))
    touched = [(token_hash(entry.token), entry.until_ms)]
    info = revise(work, info, f"{entry.token!r} put on", touched, doing)
    kept = work.lists.entry(info.name, entry.token)
    was, now = (asdict(each) if each else None for each in (before, kept))
    _record(work, "list.put", info, doing, before=was, after=now)
    return ListAnswer(info, changed=True, entry=kept)


def _is_told(import_: ListImport) -> bool:
    """Whether the topic is told each entry that it changes, and no new base."""
    return import_.diff.touched <= managed_lists.CHANGED_MAX


def _that_may_run(work: UnitOfWork) -> list[PolicyVersion]:
    """Every version that runs or may at once; a rollback asks no second person."""
    holding = work.policies.in_states(HOLDING)
    kept = work.policies.in_force()
    if kept is None or kept.arrangement.policy is None:
        return holding
    before = work.policies.policy(kept.arrangement.policy).before
    return holding if before is None else [*holding, work.policies.policy(before)]


def _record(
    work: UnitOfWork,
    action: str,
    info: KeptList,
    doing: Doing,
    **written: dict[str, Any] | None,
) -> None:
    work.audit.record(
        Change(action=action, subject=f"list {info.name}", **written), doing
    )


def _of(info: KeptList) -> dict[str, Any]:
    return {
        "kind": info.kind.value,
        "field": info.field,
        "about": info.about,
        "entries": info.count,
    }


def _origin(doing: Doing, source: str, import_number: int | None) -> dict[str, Any]:
    return {
        "author": doing.person.name,
        "source": source,
        "added_at_ms": doing.at_ms,
        "import_number": import_number,
    }


def _source(text: str) -> str:
    if not text:
        raise InvalidTransaction("source", "is required: where does this come from?")
    maximum = managed_lists.SOURCE_CHARACTERS_MAX
    return managed_lists.checked_text("source", text, maximum)
