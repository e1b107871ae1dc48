"""What became of every row of a table: rows = admitted + refused + skipped."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from re import sub
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any

from scoring.errors import BadArtifact

_CAUSES_SHOWN_MAX = 12
_HEADER = ("what", "file", "row", "field", "reason")


def _spool() -> Any:
    return TemporaryFile("w+", encoding="utf-8", newline="")


@dataclass(slots=True)
class RowAccount:
    """Counts of rows by what became of them, and every one that was left out.

    `lacking` counts admitted rows of which something is not known, such as the label.
    No entry repeats a value: a cell may hold a card number.
    """

    strict: bool = False
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    lacking: dict[str, Counter[str]] = field(default_factory=dict)
    _firsts: dict[tuple[str, str], str] = field(default_factory=dict)
    _listed: Any = field(default_factory=_spool)

    def __del__(self) -> None:
        """The list ends with the account."""
        self._listed.close()

    def refuse(self, place: Place, name: str, reason: str) -> None:
        """Note a row that cannot be decided; raises `BadArtifact` where strict."""
        cause = _cause(name, reason)
        if self.strict:
            raise BadArtifact(f"{place.said}: {cause} (--strict ends here)")
        self.refused[cause] += 1
        self._note("refused", place, name, reason)

    def skip(self, place: Place, reason: str) -> None:
        """Note a row that needs no decision of its own."""
        self.skipped[reason] += 1
        self._note("skipped", place, "", reason)

    def lack(self, place: Place, what: str, name: str, reason: str) -> None:
        """Note an admitted row that lacks something, such as a label or an amount."""
        self.lacking.setdefault(f"no {what}", Counter())[reason] += 1
        self._note(f"no {what}", place, name, reason)

    @property
    def admitted(self) -> int:
        """How many rows are decided, or learned from."""
        return self.rows - self.refused.total() - self.skipped.total()

    @property
    def sum(self) -> str:
        """That every row is accounted for.

        >>> RowAccount(rows=3, refused=Counter({"id: is required": 1})).sum
        '3 rows = 2 admitted + 1 refused + 0 skipped'
        """
        return (
            f"{self.rows:,} rows = {self.admitted:,} admitted + "
            f"{self.refused.total():,} refused + {self.skipped.total():,} skipped"
        )

    def lines(self) -> Iterator[str]:
        """A line for each of the most common causes: how many, and the first row."""
        for what, counts in (
            ("refused", self.refused),
            ("skipped", self.skipped),
            *sorted(self.lacking.items()),
        ):
            for cause, count in counts.most_common(_CAUSES_SHOWN_MAX):
                key = (what, cause)
                yield f"{what} {count:,}: {cause} (first: {self._firsts[key]})"
            if len(counts) > _CAUSES_SHOWN_MAX:
                yield f"{what}: {len(counts) - _CAUSES_SHOWN_MAX:,} more causes"

    def write(self, path: Path) -> bool:
        """List every row that was left out, as CSV; False where there is none."""
        if not self._firsts:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._listed.seek(0)
        with path.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerow(_HEADER)
            copyfileobj(self._listed, out)
        self._listed.seek(0, 2)
        return True

    def _note(self, what: str, place: Place, name: str, reason: str) -> None:
        cause = _cause(name if what == "refused" else "", reason)
        self._firsts.setdefault((what, cause), place.said)
        row = (what, place.file, place.number, name, reason)
        csv.writer(self._listed).writerow(row)


def _cause(name: str, reason: str) -> str:
    """What rows are counted under: a day or an id that a reason names is no cause.

    >>> _cause("at", "is 1970-01-02, not between 2000 and 2100")
    'at: is not between 2000 and 2100'
    >>> _cause("", "id: 'p5' was already used for another payload")
    'id: was already used for another payload'
    """
    alike = sub(r"is [0-9-]{10}, not", "is not", reason)
    alike = sub(r"^id: .* was already used", "id: was already used", alike)
    return f"{name}: {alike}" if name else alike


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is: its file and its number there, without the header.

    A record is in a partition of a topic at an offset, which counts from 0.
    """

    file: str = ""
    number: int | None = None
    unit: str = "row"

    @property
    def said(self) -> str:
        """As a person is told.

        >>> Place("decisions/3", 0, "offset").said
        'decisions/3 offset 0'
        """
        known = self.number is not None
        return f"{self.file} {self.unit} {self.number}" if known else self.file


NOWHERE = Place()
