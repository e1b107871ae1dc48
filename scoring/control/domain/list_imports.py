"""An import of a file into a list: read, then applied, then perhaps undone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from scoring.control.domain.managed_lists import ListDiff
from scoring.errors import NotPossible

READ_KEPT_MS = 86_400_000  # a file that was read is to be applied within a day


class ImportState(StrEnum):
    """Where an import is in its life."""

    READING = "reading"  # or ended before the file did: never to be applied
    REFUSED = "refused"  # its file has a mistake: nothing of it is kept
    READ = "read"  # in the database, beside its list
    LAPSED = "lapsed"  # what was read is forgotten
    APPLIED = "applied"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListImport:
    """One import; with `replaces` what the file lacks comes off the list.

    `revision` is the list's that the file was compared with, then that it made;
    `sha256` the hash of the file's bytes, "" until they are read.
    """

    number: int
    list: str
    source: str
    replaces: bool
    revision: int
    by: str
    at_ms: int
    state: ImportState = ImportState.READING
    diff: ListDiff = field(default_factory=ListDiff)
    undone_at_ms: int | None = None
    sha256: str = ""

    def applied(self, diff: ListDiff, *, revision: int, at_ms: int) -> ListImport:
        """The import, applied; raises `NotPossible` unless it waits for that."""
        return replace(
            self.to_be_applied(),
            state=ImportState.APPLIED,
            diff=diff,
            revision=revision,
            at_ms=at_ms,
        )

    def to_be_applied(self) -> ListImport:
        """Itself; raises `NotPossible` unless its whole file was read."""
        self._must_be(ImportState.READ, "can be applied")
        return self

    def undone(self, at_ms: int) -> ListImport:
        """The import, undone; raises `NotPossible` unless it is applied."""
        return replace(
            self.to_be_undone(), state=ImportState.UNDONE, undone_at_ms=at_ms
        )

    def to_be_undone(self) -> ListImport:
        """Itself; raises `NotPossible` unless it is applied."""
        self._must_be(ImportState.APPLIED, "can be undone")
        return self

    @property
    def told(self) -> dict[str, Any]:
        """What the audit says of it: which file, its rows, and what they changed."""
        diff = self.diff
        rows = diff.added + diff.changed + diff.unchanged + diff.repeated
        file = {"source": self.source, "sha256": self.sha256, "rows": rows}
        return {"import": self.number, **file, **asdict(diff)}

    def _must_be(self, state: ImportState, for_what: str) -> None:
        if self.state is not state:
            raise NotPossible(
                f"import {self.number} is {self.state}; only one that is {state} "
                f"{for_what}"
            )
