"""GetDecision and ExplainDecision: what was decided, and exactly why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
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
from scoring.v1 import fraud_scoring_pb2

# Kept back from the deadline for the reply, seconds.
_RESERVE_S = 0.002


class Explanation(Protocol):
    """Exact contributions (features,) in log-odds; with `base` they are the margin."""

    @property
    def base(self) -> float:
        """The model's expectation, log-odds."""
        ...

    @property
    def contributions(self) -> NDArray[np.float64]:
        """One a feature, in the model's order."""
        ...


class Explainer(Protocol):
    """Explains one vector exactly; blocks for milliseconds, so it gets a thread."""

    def explain(self, vector: NDArray[np.float32]) -> Explanation:
        """Explain (features,) float32 in the model's order."""
        ...


@dataclass(slots=True)
class Explanations:
    """Exact explanations of one model's decisions.

    `load` brings the explainer on first use: it is large, and most processes are
    never asked. It raises `ImportError` where the library is not installed.
    `codes` names the reason code of each feature.
    """

    load: Callable[[], Explainer]
    model_version: str
    feature_names: tuple[str, ...]
    codes: Mapping[str, str]
    _explainer: Explainer | None = None

    def of(self, vector: NDArray[np.float32]) -> Explanation:
        """Explain one vector; blocks. Raises `Refused` where nothing can."""
        if self._explainer is None:
            try:
                self._explainer = self.load()
            except (ImportError, OSError) as error:
                raise Refused(_UNEXPLAINED) from error
        return self._explainer.explain(vector)


@dataclass(frozen=True, slots=True)
class Lookups:
    """The calls that read the record; authorised like checks."""

    intake: Intake
    store: Store
    explanations: Explanations | None = None

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
        explanations = self.explanations
        if explanations is None:
            raise Refused(_UNEXPLAINED)
        decision = wire.decision_from_bytes(await self._recorded(request, caller))
        core = decision.core
        if not core.features or core.versions.model != explanations.model_version:
            raise Refused(_FOREIGN)
        vector = np.asarray(core.features, np.float32)
        explanation = await asyncio.to_thread(explanations.of, vector)
        return fraud_scoring_pb2.ExplainDecisionResponse(
            core=core,
            base=explanation.base,
            contributions=_to_proto(explanations, vector, explanation),
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


_UNKNOWN = Refusal(
    grpc.StatusCode.NOT_FOUND,
    "no decision is recorded for this id, or it is past the dedupe horizon",
    "transaction_id",
)
_FOREIGN = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION,
    "this decision was made without a model, or by one that is not loaded here; "
    "load the model named in versions.model",
)
_UNEXPLAINED = Refusal(
    grpc.StatusCode.UNIMPLEMENTED,
    "exact explanations need the trained model beside the bundle and the extra "
    "'train' (pip install 'fraud-scoring[train]')",
)


def _to_proto(
    explanations: Explanations,
    vector: NDArray[np.float32],
    explanation: Explanation,
) -> list[fraud_scoring_pb2.FeatureContribution]:
    largest_first = np.argsort(-np.abs(explanation.contributions)).tolist()
    names = explanations.feature_names
    return [
        fraud_scoring_pb2.FeatureContribution(
            feature=names[i],
            value=float(vector[i]),
            contribution=float(explanation.contributions[i]),
            reason_code=explanations.codes.get(names[i], ""),
        )
        for i in largest_first
    ]
