"""The topic `control` in memory, a relay of one step, and a replica that reads it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from control_parts import ANN, BOB, EVE, FAY, ControlBench, text

from scoring.control.database.database import Database
from scoring.control.database.relaying import RelayedOutbox
from scoring.control.desks.list_desk import EntryWish, ListDesk
from scoring.control.desks.topic_agreement import agree
from scoring.control.domain.people import By
from scoring.control.domain.topic_held import TopicHeld
from scoring.core.release.keys import control_key
from scoring.core.release.list_release import token_hash
from scoring.errors import NotPossible
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper
from scoring.releases.control_records import ControlIntake
from scoring.wire.control_json import release_from_json, sealing

AGREED = By(FAY, "as agreed")
WHY = By(BOB, "as agreed")


@dataclass
class Record:
    """One as a client hands it over."""

    key: bytes
    value: bytes | None
    headers: tuple
    offset: int
    topic: str = "control"


@dataclass
class Topic:
    """Records in their order; nothing is compacted."""

    records: list[Record] = field(default_factory=list)
    now_ms: int = 1_000_000

    def append(self, records) -> None:
        for each in records:
            headers = tuple(sealing(each.sequence, each.value))
            offset = len(self.records)
            self.records.append(Record(each.key.encode(), each.value, headers, offset))

    def held(self) -> TopicHeld:
        held = TopicHeld()
        for each in self.records:
            held.take(each.key, each.value, each.headers)
        return held

    def releases(self) -> list[bytes]:
        return [each.value for each in self.records if each.key == b"policy"]


@dataclass
class Plane:
    """A control plane on a file, with a relay that is asked for each step."""

    file: Path
    topic: Topic
    directory: Path

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.file}").migrated()
        self.backups: list[Path] = []

    @property
    def bench(self) -> ControlBench:
        return ControlBench(self.database)

    @property
    def lists(self) -> ListDesk:
        return ListDesk(self.database, self.bench.clock)

    def begin(self) -> None:
        self.topic.now_ms += 1_000
        agree(self.database, self.topic.held(), self.topic.now_ms)

    def relay(self, *, marks: bool = True) -> None:
        """What a relay does that begins, and is killed before it `marks`."""
        self.begin()
        rows = RelayedOutbox(self.database)
        while waiting := rows.unpublished(count_max=64):
            self.topic.append(waiting)
            if not marks:
                return
            rows.published([each.sequence for each in waiting], at_ms=1)

    def release(self, n: int) -> int:
        """Another text in force; what number its release has."""
        try:
            return self.bench.released(n).release.release
        except NotPossible:  # it is in force already: the same once more
            return self.bench.desk.republish(WHY).release.release

    def put(self, name: str, token: str) -> None:
        with self.bench.desk.read(EVE) as work:
            known = work.lists.exists(name)
        if not known:
            self.lists.create(AGREED, name, kind="block", field="card")
        self.lists.put(AGREED, name, EntryWish(token=token))

    def take_off(self, name: str, token: str) -> None:
        with self.bench.desk.read(EVE) as work:
            known = work.lists.exists(name)
        if known:
            self.lists.take_off(AGREED, name, token)

    def back_up(self) -> None:
        file = self.directory / f"backup-{len(self.backups)}.db"
        source, target = sqlite3.connect(self.file), sqlite3.connect(file)
        source.backup(target)
        source.close()
        target.close()
        self.backups.append(file)

    def restore(self, file: Path) -> None:
        self.database.close()
        for each in self.file.parent.glob(f"{self.file.name}-*"):
            each.unlink()
        self.file.write_bytes(file.read_bytes())
        self.database = Database(f"sqlite:///{self.file}").migrated()

    def entries(self) -> dict[str, set[int]]:
        """What stands on each list, by hash."""
        with self.bench.desk.read(EVE) as work:
            return {
                each.name: {
                    token_hash(entry.token)
                    for entry in work.lists.entries(each.name, after="", count_max=99)
                }
                for each in work.lists.all()
            }

    def in_force(self):
        with self.bench.desk.read(EVE) as work:
            return work.policies.in_force()

    def audit(self, action: str):
        return [each for each in self.bench.audit() if each.action == action]


class Reader:
    """A process of the data plane: its lists, and the release that it would run."""

    def __init__(self, directory: Path) -> None:
        self.told: list[str] = []
        self.release, self.sequence = None, 0
        self.lists = ListKeeper(ListFiles(directory), self.told.append)
        self.lists.open()
        self.again()

    def again(self) -> None:
        self.intake, self.offset = ControlIntake(self.told.append), 0

    def read(self, topic: Topic) -> None:
        if self.offset > len(topic.records):  # it was made again
            self.again()
        new, self.offset = topic.records[self.offset :], len(topic.records)
        records = list(self.intake.admitted(new))
        self.lists.take((each.key, each.value) for each in records)
        for each in records:
            if each.name == "policy" and each.sequence > self.sequence:
                self.release = release_from_json(each.value)
                self.sequence = each.sequence

    def entries(self, tokens) -> dict[str, set[int]]:
        return {
            name: {token_hash(each) for each in tokens if held.get(each, 0)}
            for name, held in self.lists.current.lists.items()
        }


__all__ = ["ANN", "Plane", "Reader", "Topic", "control_key", "text"]
