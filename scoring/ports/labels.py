"""Labels, and the statistics that learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scoring.core.transaction.label import Verdict
from scoring.core.transaction.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTransaction:
    """A label joined with the transaction it speaks of.

    `fraud` is None for a withdrawn label. `known_at_ms` is when it became known.
    """

    transaction: Transaction
    version: int
    fraud: bool | None
    known_at_ms: int

    @property
    def verdict(self) -> Verdict:
        """What the label said."""
        if self.fraud is None:
            return Verdict.WITHDRAWN
        return Verdict.FRAUD if self.fraud else Verdict.LEGITIMATE


class LabelStore(Protocol):
    """The verdicts reported. Raises as `ports.store` says."""

    async def attest(
        self, labels: Sequence[LabelledTransaction], *, timeout_s: float | None = None
    ) -> list[bool]:
        """Whether each label stands: the first verdict of a version does.

        Kept as long as a label can matter. A label that stands is not learned yet.
        """
        ...

    async def learn(
        self, labels: Sequence[LabelledTransaction], *, timeout_s: float | None = None
    ) -> list[bool]:
        """Apply the labels that stand; idempotent by transaction and version.

        Returns which do, as `attest`.
        """
        ...
