"""An act that is done with many cases: how far it is, and with which it was not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from scoring.errors import ChangedMeanwhile

BULK_MAX = 1_000  # cases of one act: more of them are several acts, each looked at
PIECE_COUNT = 100  # of them are done in one transaction: others write in between

# A case and its revision, as they were shown.
ShownCase = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LeftCase:
    """A case with which an act was not done, and why."""

    number: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBulk:
    """What somebody does with every case of a selection; immutable.

    `cases` are those that were shown, forgotten once it is over; `place` of them are
    over with. `rose` says whether any of them is at another revision by it.
    """

    selection: str
    by: str
    at_ms: int
    count: int
    cases: tuple[ShownCase, ...] = ()
    place: int = 0
    left: tuple[LeftCase, ...] = ()
    rose: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.place == self.count

    @property
    def done(self) -> int:
        """With how many cases it was done."""
        return self.place - len(self.left)

    @property
    def piece(self) -> tuple[ShownCase, ...]:
        """The cases that come next."""
        return self.cases[self.place : self.place + PIECE_COUNT]

    def further(self, left: Sequence[LeftCase], *, rose: bool) -> CaseBulk:
        """The act after its next piece."""
        place = self.place + len(self.piece)
        return replace(
            self,
            place=place,
            cases=() if place == self.count else self.cases,
            left=(*self.left, *left),
            rose=self.rose or rose,
        )

    def same_as(self, said: str) -> CaseBulk:
        """Itself; raises `ChangedMeanwhile` where another act was shown."""
        if not self.is_over and selection_of(self.cases, said) != self.selection:
            raise not_shown(())
        return self


def not_shown(changes: tuple[str, ...]) -> ChangedMeanwhile:
    """What is wrong with a selection of another act, or of other cases."""
    told = "it is not the selection that was shown; look at it again"
    return ChangedMeanwhile(told, changes)


def selection_of(cases: Iterable[ShownCase], said: str) -> str:
    """What names a selection of cases, by number and revision, and what is done there.

    >>> one = selection_of([(1, 1), (2, 1)], "close")
    >>> one == selection_of([(1, 1), (2, 1)], "close")
    True
    >>> one == selection_of([(1, 1), (2, 2)], "close")
    False
    """
    named = ";".join(f"{number}.{revision}" for number, revision in cases)
    return sha256(f"{said}\n{named}".encode()).hexdigest()
