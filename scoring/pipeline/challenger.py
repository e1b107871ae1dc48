"""What challengers would have decided on the champion's vectors: recorded, never
returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scoring.core.decision.decision import (
    DecisionCore,
    Degradation,
    DegradationCode,
    Rung,
    rung_of,
)
from scoring.core.policy.dated_lists import NO_LISTS, DatedLists
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import Policy
from scoring.errors import ModelUnavailable
from scoring.pipeline.second_look import Looked, look_again
from scoring.ports.model import Matrix, Model, Scores
from scoring.wire.shadow_decisions import Judged


@dataclass(frozen=True, slots=True)
class Challenger:
    """A model, or a proposed policy, that only records.

    `lists` are the policy's managed lists, as they were when it began.
    """

    model: Model
    policy: Policy
    lists: DatedLists = NO_LISTS

    def takes(self, judged: Judged) -> bool:
        """Whether the vector is of the definitions that this model was trained on."""
        evidence = judged.evidence
        return (
            evidence.vector is not None
            and evidence.versions.features == self.model.features_version
            and len(evidence.vector) == len(self.model.feature_names)
        )

    def decide_many(self, judged: Sequence[Judged]) -> list[DecisionCore]:
        """One core each, as the champion's own function decides; in order.

        The vector is left out: the champion's record holds it.
        """
        if not judged:
            return []
        rows: Matrix = np.array([j.evidence.vector for j in judged], np.float32)
        try:
            scores = self.model.predict(rows)
        except ModelUnavailable:
            scores = None
        looked = self._look_again(rows, scores)
        return [self._decided(one, i, scores, looked) for i, one in enumerate(judged)]

    def _look_again(self, rows: Matrix, scores: Scores | None) -> Looked | None:
        """Take every second look that is due: nobody waits."""
        if self.model.deeper is None or scores is None:
            return None
        return look_again(self.model.deeper, rows, scores)

    def _decided(
        self, judged: Judged, i: int, scores: Scores | None, looked: Looked | None
    ) -> DecisionCore:
        evidence = self._evidence(judged.evidence, i, scores)
        if looked is not None:
            evidence = self._after(evidence, i, looked)
        lists = self.lists.as_of(judged.transaction.occurred_at_ms)
        core = decide(
            judged.transaction,
            judged.payload_hash,
            policy=self.policy.with_lists(lists),
            evidence=evidence,
        )
        return replace(core, features=b"")

    def _after(self, evidence: Evidence, i: int, looked: Looked) -> Evidence:
        """The evidence after the challenger's own second look."""
        scores = looked.of(i)
        return replace(
            evidence,
            margin=float(scores.margin[i]),
            probability=float(scores.probability[i]),
            contributions=scores.contributions[i],
            target=scores.target,
            degradations=(*evidence.degradations, *looked.missing(i)),
            second_look=looked.looks[i],
        )

    def _evidence(self, seen: Evidence, i: int, scores: Scores | None) -> Evidence:
        kept = tuple(d for d in seen.degradations if not d.code.ours)
        versions = replace(
            seen.versions, model=self.model.version, policy=self.policy.version
        )
        if scores is None:
            missing = Degradation(DegradationCode.MODEL_UNAVAILABLE, "model")
            return replace(seen, versions=versions, degradations=(*kept, missing),
                           rung=Rung.RULES_ONLY)  # fmt: skip
        return replace(
            seen,
            margin=float(scores.margin[i]),
            probability=float(scores.probability[i]),
            contributions=scores.contributions[i],
            reason_groups=self.model.reason_groups,
            versions=versions,
            degradations=kept,
            rung=rung_of(kept),
            target=scores.target,
        )
