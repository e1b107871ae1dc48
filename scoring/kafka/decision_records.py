"""How decisions, and what challengers would have decided, become records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from scoring import wire
from scoring.core.transaction.transaction import Transaction
from scoring.kafka.cloud_events import CHALLENGE, DECISION, Headers, event_headers
from scoring.kafka.topic_names import Topics, key_of
from scoring.ports.log import LogRecord
from scoring.wire.decision_json import FeatureNames


class CameFrom(NamedTuple):
    """The partition of an input, and the headers that say which input it was."""

    partition: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class DecisionRecords:
    """Makes the records of one namespace's decisions.

    JSON gives the features by the names of `catalogue`, where it made them.
    """

    topics: Topics
    content_type: str = wire.PROTOBUF
    catalogue: FeatureNames | None = None

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
        id_ = transaction.id
        headers = (
            ("transaction-id", id_.encode()),
            *source,
            *event_headers(
                DECISION,
                self.topics.decisions,
                id_=f"{transaction.tenant}:{id_}",  # a tenant has no colon
                at_ms=wire.decided_at_ms(logged),
                subject=id_,
            ),
        )
        topic = self.topics.decisions
        return self._record(topic, logged, transaction, headers, partition)

    def challenge(
        self, decision: bytes, transaction: Transaction, model: str, partition: int
    ) -> LogRecord:
        """The record of what a challenger, a model's version, would have decided."""
        id_, topic = transaction.id, self.topics.challenger
        headers = (
            ("transaction-id", id_.encode()),
            ("model", model.encode()),
            *event_headers(
                CHALLENGE,
                topic,
                id_=f"{model}:{transaction.tenant}:{id_}",
                at_ms=wire.decided_at_ms(decision),
                subject=id_,
            ),
        )
        return self._record(topic, decision, transaction, headers, partition)

    def _record(
        self,
        topic: str,
        decision: bytes,
        transaction: Transaction,
        headers: Headers,
        partition: int | None,
    ) -> LogRecord:
        as_json = self.content_type == wire.JSON
        value = wire.decision_to_json(decision, self.catalogue) if as_json else decision
        return LogRecord(
            topic=topic,
            key=key_of(transaction),
            value=value,
            headers=(("content-type", self.content_type.encode()), *headers),
            partition=partition,
        )
