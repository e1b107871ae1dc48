"""Decisions: domain to bytes, and bytes to what a door needs of them."""

from __future__ import annotations

from functools import lru_cache

from google.protobuf import json_format

from scoring.core.decision import DecisionCore, Door, Reason
from scoring.core.transaction import Transaction
from scoring.ports import Check
from scoring.v1 import decision_pb2
from scoring.wire.messages import field_to_bytes, timestamp_from_ms, varint_to_bytes
from scoring.wire.transactions import transaction_from_proto, transaction_to_proto


def core_to_bytes(core: DecisionCore) -> bytes:
    """Encode the deterministic part; equal cores give equal bytes."""
    message = decision_pb2.DecisionCore(
        tenant=core.tenant,
        transaction_id=core.transaction_id,
        payload_hash=core.payload_hash,
        outcome=core.outcome,  # type: ignore[arg-type]
        score=core.score,
        margin=core.margin,
        provisional=core.provisional,
        rung=core.rung,  # type: ignore[arg-type]
        inexact_features=core.inexact_features,
        target=core.target,  # type: ignore[arg-type]
        second_look=core.second_look,  # type: ignore[arg-type]
    )
    for reason in core.reasons:
        _add_reason(message, reason)
    for hit in core.rule_hits:
        message.rule_hits.add(
            rule=hit.rule,
            outcome=hit.outcome,
            mode=hit.mode,
            unknown=hit.unknown,
        )
    for degradation in core.degradations:
        message.degradations.add(
            code=degradation.code,
            detail=degradation.detail,
        )
    message.versions.model = core.versions.model
    message.versions.policy = core.versions.policy
    message.versions.features = core.versions.features
    if core.features:
        # Packed little-endian float32 is the wire format of `features` itself.
        message.MergeFromString(
            b"\x6a" + varint_to_bytes(len(core.features)) + core.features
        )
    return message.SerializeToString(deterministic=True)


def _add_reason(message: decision_pb2.DecisionCore, reason: Reason) -> None:
    added = message.reasons.add(
        code=reason.code,
        wording=reason.wording,
        source=reason.source,
        contribution=reason.contribution,
    )
    if reason.velocity:
        velocity = reason.velocity
        added.velocity.feature = velocity.feature
        added.velocity.observed = velocity.observed
        added.velocity.limit = velocity.limit
        added.velocity.exact = velocity.exact
        if velocity.clears_at_ms is not None:
            added.velocity.clears_at.CopyFrom(timestamp_from_ms(velocity.clears_at_ms))


def trace_to_bytes(
    check: Check,
    *,
    decided_at_ms: int,
    stages_us: dict[str, int],
    batch_size: int,
    processed_seq: int,
) -> bytes:
    """Encode the part that differs between runs.

    In the order of the fields, as protobuf itself would: most of it is the same for
    all of a batch, and is encoded once.
    """
    encoded = _shared_part(decided_at_ms, tuple(stages_us.items()), batch_size)
    if check.position:
        encoded = field_to_bytes(2, check.position.encode()) + encoded
    encoded = b"\x08" + varint_to_bytes(check.door) + encoded
    if check.traceparent:
        encoded += field_to_bytes(6, check.traceparent.encode())
    if processed_seq:
        encoded += b"\x38" + varint_to_bytes(processed_seq)
    if check.transaction.attempt:
        encoded += b"\x40" + varint_to_bytes(check.transaction.attempt)
    return encoded


@lru_cache(maxsize=1)
def _shared_part(
    decided_at_ms: int, stages_us: tuple[tuple[str, int], ...], batch_size: int
) -> bytes:
    message = decision_pb2.DecisionTrace(
        decided_at=timestamp_from_ms(decided_at_ms), batch_size=batch_size
    )
    for stage, duration_us in stages_us:
        message.stages.add(stage=stage, duration_us=duration_us)
    return message.SerializeToString(deterministic=True)


def decision_to_bytes(core: bytes, trace: bytes) -> bytes:
    """The encoded Decision: what is recorded, and returned byte for byte."""
    return field_to_bytes(1, core) + field_to_bytes(2, trace)


def logged_to_bytes(decision: bytes, check: Check) -> bytes:
    """The encoded Decision with its accepted transaction, for the decisions topic."""
    transaction = transaction_to_proto(check.transaction)
    received_at = timestamp_from_ms(check.received_at_ms)
    return (
        decision
        + field_to_bytes(3, transaction.SerializeToString(deterministic=True))
        + field_to_bytes(4, received_at.SerializeToString(deterministic=True))
    )


def decision_part(logged: bytes) -> bytes:
    """The encoded Decision that `logged_to_bytes` embedded, as it was recorded."""
    message = decision_from_bytes(logged)
    return decision_to_bytes(
        message.core.SerializeToString(deterministic=True),
        message.trace.SerializeToString(deterministic=True),
    )


def transaction_of(logged: bytes) -> Transaction:
    """The accepted transaction of a record of the decisions topic."""
    return transaction_from_proto(decision_from_bytes(logged).transaction)


def decision_from_bytes(raw: bytes) -> decision_pb2.Decision:
    """Parse what `decision_to_bytes` or `logged_to_bytes` wrote."""
    return decision_pb2.Decision.FromString(raw)


def decision_to_json(raw: bytes) -> bytes:
    """Canonical JSON of an encoded Decision, one line."""
    return json_format.MessageToJson(
        decision_from_bytes(raw), indent=None, ensure_ascii=False
    ).encode()


def position_of(decision: bytes) -> str:
    """Which input record made a recorded decision; empty for gRPC."""
    return decision_from_bytes(decision).trace.position


def door_of(decision: bytes) -> Door:
    """Which door made a recorded decision."""
    return Door(decision_from_bytes(decision).trace.door)
