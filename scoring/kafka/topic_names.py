"""The topics: their names, and how a decision or a label becomes a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from scoring import wire
from scoring.core.transaction.transaction import Transaction
from scoring.ports.log import LogRecord


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names of one namespace.

    >>> Topics("replay-1.").decisions
    'replay-1.decisions'
    """

    prefix: str = ""

    @property
    def transactions(self) -> str:
        """Payment attempts to be judged."""
        return f"{self.prefix}transactions"

    @property
    def decisions(self) -> str:
        """Everything decided, through either door, with its transaction."""
        return f"{self.prefix}decisions"

    @property
    def challenger(self) -> str:
        """What challengers would have decided; no door needs it."""
        return f"{self.prefix}decisions.challenger"

    @property
    def labels(self) -> str:
        """What turned out to be true."""
        return f"{self.prefix}labels"

    @property
    def transactions_dead_letter(self) -> str:
        """Transactions that could not be judged."""
        return f"{self.prefix}transactions.dead-letter"

    @property
    def labels_dead_letter(self) -> str:
        """Labels that could not be applied."""
        return f"{self.prefix}labels.dead-letter"

    @property
    def group(self) -> str:
        """The consumer group of the stream door's workers."""
        return f"{self.prefix}scoring-stream"

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic that the doors read or write."""
        return (
            self.transactions,
            self.decisions,
            self.labels,
            self.transactions_dead_letter,
            self.labels_dead_letter,
        )

    @property
    def created(self) -> tuple[str, ...]:
        """What `scoring topics create` makes: the doors' topics, and the shadow's."""
        return (*self.all, self.challenger)


def key_of(transaction: Transaction) -> bytes | None:
    """The record key: the card, else the customer; None for neither.

    >>> key_of(Transaction("default", "t1", customer="c9"))
    b'c9'
    """
    return (transaction.card or transaction.customer).encode() or None


class CameFrom(NamedTuple):
    """The partition of an input, and the headers that say which input it was."""

    partition: int
    headers: tuple[tuple[str, bytes], ...]


def decision_record(
    topics: Topics,
    logged: bytes,
    transaction: Transaction,
    *,
    content_type: str,
    came_from: CameFrom | None = None,
) -> LogRecord:
    """The record of the decisions topic for one logged decision.

    It goes to the partition of its input and carries that one's headers: the watermark
    that a restarted worker reads. The gRPC door has no such input.
    """
    partition, source = came_from or (None, ())
    headers = (
        ("content-type", content_type.encode()),
        ("transaction-id", transaction.id.encode()),
        *source,
    )
    return LogRecord(
        topic=topics.decisions,
        key=key_of(transaction),
        value=wire.decision_to_json(logged) if content_type == wire.JSON else logged,
        headers=headers,
        partition=partition,
    )
