"""GetDecision and ExplainDecision: what was decided, and exactly why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc
import numpy as np
from numpy.typing import NDArray

from scoring import wire
from scoring.adapters.grpc_intake import Caller, Intake
from scoring.adapters.grpc_status import Context, Refusal, Refused, out_of_time
from scoring.core.transaction import DEFAULT_TENANT, validate_key
from scoring.ports import Store
from scoring.v1 import decision_pb2, fraud_scoring_pb2

# Kept back from the deadline for the reply, seconds.
_RESERVE_S = 0.002


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature added, log-odds; `value` is NaN where it was missing."""

    feature: str
    value: float
    contribution: float
    reason_code: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Contributions, largest first; with `base` they add up to the margin."""

    base: float
    contributions: tuple[Contribution, ...]


class Explainer(Protocol):
    """Explains one vector exactly; blocks for milliseconds, so it gets a thread."""

    @property
    def model_version(self) -> str:
        """The model it can explain."""
        ...

    def explain(self, vector: NDArray[np.float32]) -> Explanation:
        """Explain (features,) float32 in the model's order."""
        ...


@dataclass(frozen=True, slots=True)
class Lookups:
    """The calls that read the record; authorised like checks."""

    intake: Intake
    store: Store
    explainer: Explainer | None = None

    async def get(self, raw: bytes, context: Context) -> bytes:
        """GetDecision: the recorded bytes, or NOT_FOUND."""
        caller = self.intake.caller(context, "GetDecision")
        request = wire.message_from_bytes(
            raw, fraud_scoring_pb2.GetDecisionRequest, wire.PROTOBUF
        )
        return wire.field_to_bytes(1, await self._recorded(request, caller))

    async def explain(self, raw: bytes, context: Context) -> bytes:
        """ExplainDecision: exact contributions for the recorded vector."""
        caller = self.intake.caller(context, "ExplainDecision")
        request = wire.message_from_bytes(
            raw, fraud_scoring_pb2.ExplainDecisionRequest, wire.PROTOBUF
        )
        if self.explainer is None:
            raise Refused(_UNEXPLAINED)
        decision = wire.decision_from_bytes(await self._recorded(request, caller))
        self._refuse_foreign(decision.core)
        vector = np.asarray(decision.core.features, np.float32)
        explanation = await asyncio.to_thread(self.explainer.explain, vector)
        return fraud_scoring_pb2.ExplainDecisionResponse(
            core=decision.core,
            base=explanation.base,
            contributions=_to_proto(explanation.contributions),
        ).SerializeToString()

    async def _recorded(
        self,
        request: fraud_scoring_pb2.GetDecisionRequest
        | fraud_scoring_pb2.ExplainDecisionRequest,
        caller: Caller,
    ) -> bytes:
        wire.refuse_unknown_fields(request, "request")
        tenant = request.tenant or DEFAULT_TENANT
        validate_key(tenant, request.transaction_id, exempt=self.intake.exempt)
        if caller.identity:
            caller.identity.admit_lookup(tenant)
        timeout_s = caller.deadline - self.intake.monotonic() - _RESERVE_S
        if timeout_s <= 0:
            raise Refused(out_of_time())
        found = await self.store.decisions(
            [(tenant, request.transaction_id)], timeout_s=timeout_s
        )
        if found[0] is None:
            raise Refused(_UNKNOWN)
        return found[0]

    def _refuse_foreign(self, core: decision_pb2.DecisionCore) -> None:
        assert self.explainer is not None
        if not core.features or core.versions.model != self.explainer.model_version:
            raise Refused(
                Refusal(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "this decision was made without a model, or by a model that is "
                    "not loaded here; load the model named in versions.model",
                )
            )


_UNKNOWN = Refusal(
    grpc.StatusCode.NOT_FOUND,
    "no decision is recorded for this id, or it is past the dedupe horizon",
    "transaction_id",
)
_UNEXPLAINED = Refusal(
    grpc.StatusCode.UNIMPLEMENTED,
    "exact explanations need the trained model beside the bundle and the extra "
    "'train' (pip install 'fraud-scoring[train]')",
)


def _to_proto(
    contributions: Sequence[Contribution],
) -> list[fraud_scoring_pb2.FeatureContribution]:
    return [
        fraud_scoring_pb2.FeatureContribution(
            feature=c.feature,
            value=c.value,
            contribution=c.contribution,
            reason_code=c.reason_code,
        )
        for c in contributions
    ]
