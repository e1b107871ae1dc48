"""What the stream door does with one poll of labels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from scoring.adapters.dead_letters import (
    RECORD_BYTES_MAX,
    UnknownTransaction,
    letter_record,
)
from scoring.adapters.kafka_delivery import Poll
from scoring.adapters.kafka_intake import KafkaIntake
from scoring.adapters.kafka_progress import Progress
from scoring.adapters.kafka_watermark import Outputs
from scoring.adapters.kafka_works import Patience, Revoked, admitted
from scoring.adapters.label_scores import LabelScores
from scoring.core.label import Label
from scoring.core.transaction import Transaction
from scoring.errors import ScoringError
from scoring.ports import DecisionLog, LabelledTransaction, Store, Telemetry
from scoring.topics import Topics

_EARLY_RETRY_S = 0.25
T = TypeVar("T")


class Lookup(Protocol):
    """Finds the transactions that labels name."""

    async def transactions(self, labels: Sequence[Label]) -> list[Transaction | None]:
        """One transaction a label, None where nothing is known of it.

        Raises `StoreUnavailable`.
        """
        ...


@dataclass(slots=True, kw_only=True)
class LabelWork:
    """Applies labels; what cannot be applied becomes a dead letter.

    A label that is earlier than its transaction waits in place, at most
    `early_s`: its partition stops, so nothing is parked in memory.
    """

    store: Store
    lookup: Lookup
    log: DecisionLog
    outputs: Outputs
    intake: KafkaIntake
    telemetry: Telemetry
    progress: Progress
    topics: Topics
    content_type: str
    early_s: float = 5.0
    letter_bytes_max: int = RECORD_BYTES_MAX

    async def __call__(self, poll: Poll) -> None:
        """Finish one poll; leave it unfinished where it was revoked meanwhile."""
        with suppress(Revoked):
            await self._finish(poll)

    async def _finish(self, poll: Poll) -> None:
        judged = admitted(await self.outputs.missing(poll), self.intake.label)
        labels = [item for _, item in judged if isinstance(item, Label)]
        joined = await self._joined(poll, labels)
        await self._learn(poll, labels, joined)
        refused = [(r, item) for r, item in judged if isinstance(item, ScoringError)]
        refused += self._unknown(judged, joined)
        letters = [self._letter(record, error) for record, error in refused]
        await Patience(self.telemetry, self.progress).acknowledged(
            poll, self.log.append(letters)
        )
        poll.finished = True
        self.progress.forward()

    async def _outlast(self, poll: Poll, exchange: Callable[[], Awaitable[T]]) -> T:
        return await Patience(self.telemetry, self.progress).outlast(poll, exchange)

    async def _joined(
        self, poll: Poll, labels: list[Label]
    ) -> list[Transaction | None]:
        """The transaction of each label, None of one that is unknown for good."""
        gives_up_at = asyncio.get_running_loop().time() + self.early_s
        while True:
            found = await self._outlast(poll, lambda: self._found(labels))
            late = asyncio.get_running_loop().time() >= gives_up_at
            if late or all(transaction is not None for transaction in found):
                return found
            await asyncio.sleep(_EARLY_RETRY_S)

    async def _found(self, labels: list[Label]) -> list[Transaction | None]:
        bare = [label for label in labels if label.transaction is None]
        looked_up = iter(await self.lookup.transactions(bare) if bare else [])
        return [label.transaction or next(looked_up) for label in labels]

    def _unknown(
        self,
        judged: list[tuple[Any, Label | ScoringError]],
        joined: list[Transaction | None],
    ) -> list[tuple[Any, ScoringError]]:
        records = [r for r, item in judged if isinstance(item, Label)]
        error = UnknownTransaction(
            "nothing is known of this transaction; send it along with the label"
        )
        return [
            (record, error)
            for record, transaction in zip(records, joined, strict=True)
            if transaction is None
        ]

    async def _learn(
        self, poll: Poll, labels: list[Label], joined: list[Transaction | None]
    ) -> None:
        learned = [
            LabelledTransaction(
                transaction=transaction,
                version=label.version,
                fraud=label.fraud,
                known_at_ms=label.known_at_ms,
            )
            for label, transaction in zip(labels, joined, strict=True)
            if transaction is not None
        ]
        if learned:
            await self._outlast(poll, lambda: self.store.learn(learned))
            self.telemetry.count("label", len(learned))
            await LabelScores(self.store, self.telemetry).tell(learned)

    def _letter(self, record: Any, error: ScoringError) -> Any:
        self.telemetry.count("dead_letter")
        return letter_record(
            record,
            error,
            topic=self.topics.labels_dead_letter,
            content_type=self.content_type,
            bytes_max=self.letter_bytes_max,
        )
