"""What turned out to be true, set beside the score that was given for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scoring import wire
from scoring.errors import StoreUnavailable
from scoring.ports import LabelledTransaction, Store, Telemetry

# A poll brings at most as many; a longer list is sampled from its start.
_LABELS_MAX = 500
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Tells telemetry how labelled transactions were scored, in one exchange.

    Only while the decision is recorded (the dedupe horizon), and never in the way:
    without the store, labels go uncounted.
    """

    store: Store
    telemetry: Telemetry

    async def tell(self, labels: Sequence[LabelledTransaction]) -> None:
        """Look the decisions up and count them; withdrawn labels tell nothing."""
        known = [label for label in labels if label.fraud is not None][:_LABELS_MAX]
        keys = [(label.transaction.tenant, label.transaction.id) for label in known]
        if not keys:
            return
        try:
            found = await self.store.decisions(keys, timeout_s=_PATIENCE_S)
        except StoreUnavailable:
            return
        for label, raw in zip(known, found, strict=True):
            if raw is None:
                continue
            core = wire.decision_from_bytes(raw).core
            if core.HasField("score"):
                fraud = bool(label.fraud)
                self.telemetry.judged(core.versions.model, core.score, fraud=fraud)
