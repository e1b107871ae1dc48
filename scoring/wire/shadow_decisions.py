"""What a record of the decisions topic says was judged, for another model to judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scoring.core.decision.decision import (
    DecisionCore,
    Degradation,
    DegradationCode,
    Versions,
)
from scoring.core.policy.decide import Evidence
from scoring.core.transaction.transaction import Transaction
from scoring.v1 import decision_pb2
from scoring.wire.decisions import core_to_bytes, decision_to_bytes
from scoring.wire.messages import PROTOBUF, message_from_bytes, timestamp_from_ms
from scoring.wire.transactions import accepted_from_proto


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was decided on: `evidence` holds the vector and what was missing.

    Of the model that decided, only `versions` is told.
    """

    transaction: Transaction
    payload_hash: bytes
    evidence: Evidence


def judged_from_bytes(raw: bytes, *, content_type: str = PROTOBUF) -> Judged:
    """Read a logged decision; raises `InvalidTransaction` where it is none."""
    decision = message_from_bytes(raw, decision_pb2.Decision, content_type)
    core = decision.core
    return Judged(
        transaction=accepted_from_proto(decision.transaction),
        payload_hash=core.payload_hash,
        evidence=Evidence(
            vector=np.array(core.features, np.float32) if core.features else None,
            versions=Versions(
                core.versions.model,
                core.versions.policy,
                core.versions.features,
                core.versions.rates,
                core.versions.lists,
            ),
            degradations=tuple(
                Degradation(DegradationCode(d.code), d.detail)
                for d in core.degradations
            ),
            inexact=tuple(core.inexact_features),
            provisional=core.provisional,
        ),
    )


def challenge_to_bytes(
    core: DecisionCore, position: str, *, decided_at_ms: int
) -> bytes:
    """Encode a challenger's Decision: core and trace; `position` is the champion's
    record, "decisions/3@17", which holds transaction and vector.
    """
    trace = decision_pb2.DecisionTrace(
        position=position, decided_at=timestamp_from_ms(decided_at_ms)
    )
    return decision_to_bytes(
        core_to_bytes(core), trace.SerializeToString(deterministic=True)
    )
