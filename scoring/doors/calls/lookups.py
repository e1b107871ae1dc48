"""Look-ups: what was decided, and exactly why."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scoring import wire
from scoring.core.transaction.transaction import DEFAULT_TENANT, validate_key
from scoring.doors.calls.requests import Caller, Intake
from scoring.errors import (
    BadArtifact,
    DeadlineExceeded,
    NotExplainable,
    NotFound,
    NotSupported,
)
from scoring.ports.follow_ups import FollowUpStore
from scoring.ports.records import RecordStore
from scoring.v1 import decision_pb2, fraud_scoring_pb2

# Kept back from the deadline for the reply, seconds.
_RESERVE_S = 0.002
# For people, and not for a payment that waits: a model may have to be loaded first.
EXPLANATION_S = 30.0
# Models whose trees stay in memory (about 11 MB each, 300 trees of depth 6).
_EXPLAINERS_MAX = 4


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

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The order of its model's vector."""
        ...

    def explain(
        self, vector: NDArray[np.float32], *, deeper: bool = False
    ) -> Explanation:
        """Explain (features,) float32 in the model's order.

        With `deeper`, as the larger model of its second look scored it.
        """
        ...


@dataclass(slots=True)
class Explanations:
    """Exact explanations of decisions, each by the model that made it.

    `load` brings the explainer of a model version on first use: it is large, and
    most processes are never asked. It raises `ImportError` where the library is not
    installed, `BadArtifact` or `OSError` where the version is kept no more, and
    `ModelRegistryUnavailable`. `codes` names the reason code of each feature by a
    version of the policy; none where that version is not kept.
    """

    load: Callable[[str], Explainer]
    codes: Callable[[str], Mapping[str, str]]
    _explainers: OrderedDict[str, Explainer] = field(default_factory=OrderedDict)
    # One thread: explaining never takes more than a core from deciding.
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="explain")
    )

    async def of(
        self, version: str, vector: NDArray[np.float32], *, deeper: bool = False
    ) -> tuple[Explainer, Explanation]:
        """Explain one vector by that version, off the event loop; see `Explainer`.

        Raises `NotExplainable` for a version that is not kept, and `NotSupported`.
        """
        work = partial(self._explained, version, vector, deeper=deeper)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def codes_of(self, policy: str) -> Mapping[str, str]:
        """The reason code of each feature, by the policy version that decided."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.codes, policy)

    def _explained(
        self, version: str, vector: NDArray[np.float32], *, deeper: bool
    ) -> tuple[Explainer, Explanation]:
        try:
            explainer = self._explainer(version)
            return explainer, explainer.explain(vector, deeper=deeper)
        except ImportError as error:
            raise NotSupported(_UNEXPLAINED) from error
        except (BadArtifact, OSError) as error:
            raise NotExplainable(_not_kept(version)) from error

    def _explainer(self, version: str) -> Explainer:
        found = self._explainers.pop(version, None) or self.load(version)
        self._explainers[version] = found
        if len(self._explainers) > _EXPLAINERS_MAX:
            self._explainers.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class Lookups:
    """Reads the record; authorised like checks."""

    intake: Intake
    records: RecordStore
    follow_ups: FollowUpStore
    explanations: Explanations | None = None

    async def get(self, tenant: str, transaction_id: str, caller: Caller) -> bytes:
        """The recorded bytes; raises `NotFound`. An empty tenant is the default one."""
        tenant = tenant or DEFAULT_TENANT
        validate_key(tenant, transaction_id, exempt=self.intake.exempt)
        if caller.identity:
            caller.identity.admit_lookup(tenant)
        found = await self.records.decisions(
            [(tenant, transaction_id)], timeout_s=self._left_s(caller)
        )
        if found[0] is None:
            raise NotFound(_UNKNOWN, "transaction_id")
        return found[0]

    async def life(self, tenant: str, transaction_id: str, caller: Caller) -> bytes:
        """A GetDecisionResponse: what `get` returns, and what became known since."""
        decision = await self.get(tenant, transaction_id, caller)
        key = (tenant or DEFAULT_TENANT, transaction_id)
        [life] = await self.follow_ups.lives([key], timeout_s=self._left_s(caller))
        return wire.life_to_bytes(decision, life.labels, life.events)

    async def explain(
        self, tenant: str, transaction_id: str, caller: Caller
    ) -> fraud_scoring_pb2.ExplainDecisionResponse:
        """Exact contributions for the recorded vector; `caller` within `EXPLANATION_S`.

        Raises `NotFound`, `NotExplainable` and `NotSupported`.
        """
        explanations = self.explanations
        if explanations is None:
            raise NotSupported(_UNEXPLAINED)
        recorded = await self.get(tenant, transaction_id, caller)
        core = wire.decision_from_bytes(recorded).core
        if not core.features or not core.HasField("margin"):
            raise NotExplainable(_UNSCORED)
        vector = np.asarray(core.features, np.float32)
        async with asyncio.timeout(self._left_s(caller)):
            explainer, explanation = await explanations.of(
                core.versions.model,
                vector,
                deeper=core.second_look == decision_pb2.SECOND_LOOK_TAKEN,
            )
            codes = await explanations.codes_of(core.versions.policy)
        return fraud_scoring_pb2.ExplainDecisionResponse(
            core=core,
            base=explanation.base,
            contributions=_to_proto(
                vector,
                explanation,
                names=explainer.feature_names,
                codes=codes,
            ),
        )

    def _left_s(self, caller: Caller) -> float:
        left_s = caller.deadline - self.intake.monotonic() - _RESERVE_S
        if left_s <= 0:
            raise DeadlineExceeded
        return left_s


_UNKNOWN = (
    "no decision is recorded under this id, or the deduplication horizon has passed"
)
_UNSCORED = "this decision was made without a score; there is nothing to explain"
_UNEXPLAINED = (
    "exact explanations need the trained model beside the bundle and the extra "
    "'train' (pip install 'fraud-scoring[train]')"
)


def _not_kept(version: str) -> str:
    return (
        f"model {version} made this decision and is not kept here any more, or is "
        "refused; keep bundles as long as decisions"
    )


def _to_proto(
    vector: NDArray[np.float32],
    explanation: Explanation,
    *,
    names: Sequence[str],
    codes: Mapping[str, str],
) -> list[fraud_scoring_pb2.FeatureContribution]:
    largest_first = np.argsort(-np.abs(explanation.contributions)).tolist()
    return [
        fraud_scoring_pb2.FeatureContribution(
            feature=names[i],
            value=float(vector[i]),
            contribution=float(explanation.contributions[i]),
            reason_code=codes.get(names[i], ""),
        )
        for i in largest_first
    ]
