"""How a decision becomes a record of the decisions topic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from scoring import wire
from scoring.core.features.catalogue import Catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.kafka.topic_names import Topics, key_of
from scoring.ports.log import LogRecord


class CameFrom(NamedTuple):
    """The partition of an input, and the headers that say which input it was."""

    partition: int
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class DecisionRecords:
    """Makes the records of one namespace's decisions.

    JSON gives the features by the names of `catalogue`, where it made them.
    """

    topics: Topics
    content_type: str = wire.PROTOBUF
    catalogue: Catalogue | None = None

    def record(
        self,
        logged: bytes,
        transaction: Transaction,
        came_from: CameFrom | None = None,
    ) -> LogRecord:
        """The record of one logged decision.

        It goes to the partition of its input and carries that one's headers: the
        watermark that a restarted worker reads. The gRPC door has no such input.
        """
        partition, source = came_from or (None, ())
        as_json = self.content_type == wire.JSON
        return LogRecord(
            topic=self.topics.decisions,
            key=key_of(transaction),
            value=wire.decision_to_json(logged, self.catalogue) if as_json else logged,
            headers=(
                ("content-type", self.content_type.encode()),
                ("transaction-id", transaction.id.encode()),
                *source,
            ),
            partition=partition,
        )
