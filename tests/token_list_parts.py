"""A desk of lists with a process of the data plane that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from control_parts import EVE, FAY, Clock

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import writing
from scoring.control.desks.list_desk import EntryWish, FileWish, ListDesk
from scoring.control.domain.people import By
from scoring.core.release.keys import control_key
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper

NOON_MS = 1_772_366_400_000  # 2026-03-01T12:00:00Z
WHO = By(FAY, "as agreed")


@dataclass
class Bench:
    """A desk, and a process of the data plane that takes what it publishes."""

    database: object
    keeper: ListKeeper
    told: list = field(default_factory=list)

    @property
    def desk(self) -> ListDesk:
        return ListDesk(self.database, Clock())

    def follow(self) -> ListKeeper:
        """Relay what waits, in its order."""
        with writing(self.database) as work:
            records = work.outbox.unpublished(count_max=100_000)
            work.outbox.published([each.sequence for each in records], at_ms=1)
        self.keeper.take((control_key(each.key), each.value) for each in records)
        return self.keeper

    def until(self, name: str, token: str) -> int:
        """Until when the data plane holds a token listed."""
        held = self.follow().current.lists.get(name)
        return held.get(token, 0) if held else 0

    def audit(self) -> list[str]:
        with self.desk.read(EVE) as work:
            return [each.action for each in work.audit.entries()]

    def info(self, name: str = "stolen"):
        with self.desk.read(EVE) as work:
            return work.lists.named(name)

    def imported(self, text: str, **wish):
        read = self.read(text, **wish)
        return self.desk.apply(WHO, "stolen", read.number)

    def read(self, text: str, **wish):
        wish = FileWish(source="cards.csv", **wish)
        lines = text.encode().splitlines(keepends=True)
        return self.desk.read_file(WHO, "stolen", wish, lines)


def put(bench, token, expires="", **more):
    return bench.desk.put(
        WHO, "stolen", EntryWish(token=token, expires=expires), **more
    )


@contextmanager
def following(database, directory: Path) -> Iterator[Bench]:
    """A desk with one list, and a process that takes whatever it publishes."""
    told = []
    keeper = ListKeeper(ListFiles(directory), told.append)
    keeper.open()
    bench = Bench(database, keeper, told)
    bench.desk.create(WHO, "stolen", kind="block", field="card", about="From the bank")
    yield bench
    assert told == []


def listed(url: str, name: str, *tokens: str, at_ms: int) -> None:
    """Make a list of cards in a database of its own, its entries added then."""
    database = Database(url).migrated()
    try:
        desk = ListDesk(database, Clock(at_ms))
        desk.create(WHO, name, kind="block", field="card")
        for token in tokens:
            desk.put(WHO, name, EntryWish(token=token))
    finally:
        database.close()
