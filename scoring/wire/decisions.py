"""Decisions: domain to bytes, and bytes to what a door needs of them."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from google.protobuf.message import DecodeError

from scoring.core.decision.decision import (
    Arm,
    ComputeTarget,
    DecisionCore,
    Degradation,
    Door,
    Reason,
    ReasonSource,
    RuleHit,
    Rung,
    SecondLook,
    ShadowOutcome,
    Versions,
)
from scoring.core.transaction.transaction import DEFAULT_TENANT, Transaction
from scoring.errors import CorruptState
from scoring.ports.check import Check
from scoring.v1 import decision_pb2
from scoring.wire.messages import (
    JSON,
    field_to_bytes,
    ms_from_timestamp,
    timestamp_from_ms,
    varint_to_bytes,
)
from scoring.wire.transactions import transaction_to_proto

_MODEL = ReasonSource.MODEL
_CONTRIBUTION = Struct("<Bf")
_CONTRIBUTION_TAG = 4 << 3 | 5  # field 4, four bytes
_PARTS_MAX = 1_024  # recurring parts remembered, each a few hundred bytes


def core_to_bytes(core: DecisionCore) -> bytes:
    """Encode the deterministic part; equal cores give equal bytes.

    In the order of the fields, as protobuf itself would: what many decisions have
    alike is encoded once.
    """
    opening = decision_pb2.DecisionCore(
        tenant=core.tenant,
        transaction_id=core.transaction_id,
        payload_hash=core.payload_hash,
        outcome=core.outcome,  # type: ignore[arg-type]
        score=core.score,
        margin=core.margin,
    )
    parts = [opening.SerializeToString()]
    parts += [field_to_bytes(7, _reason_to_bytes(reason)) for reason in core.reasons]
    parts.append(
        _middle_of_core(
            core.rule_hits,
            core.degradations,
            core.provisional,
            core.rung,
            core.versions,
        )
    )
    if core.features:
        # Packed little-endian float32 is the wire format of `features` itself.
        parts.append(field_to_bytes(13, core.features))
    parts.append(
        _end_of_core(
            core.inexact_features,
            core.target,
            core.second_look,
            core.arm,
            core.let_through,
        )
    )
    return b"".join(parts)


def _reason_to_bytes(reason: Reason) -> bytes:
    if reason.source is _MODEL and reason.velocity is None and reason.contribution:
        head = _head_of_model_reason(reason.code, reason.wording)
        return head + _CONTRIBUTION.pack(_CONTRIBUTION_TAG, reason.contribution)
    message = decision_pb2.Reason(
        code=reason.code,
        wording=reason.wording,
        source=reason.source,  # type: ignore[arg-type]
        contribution=reason.contribution,
    )
    velocity = reason.velocity
    if velocity:
        message.velocity.feature = velocity.feature
        message.velocity.observed = velocity.observed
        message.velocity.limit = velocity.limit
        message.velocity.exact = velocity.exact
        if velocity.clears_at_ms is not None:
            clears_at = timestamp_from_ms(velocity.clears_at_ms)
            message.velocity.clears_at.CopyFrom(clears_at)
    return message.SerializeToString(deterministic=True)


@lru_cache(maxsize=_PARTS_MAX)
def _head_of_model_reason(code: str, wording: str) -> bytes:
    return decision_pb2.Reason(
        code=code,
        wording=wording,
        source=_MODEL,  # type: ignore[arg-type]
    ).SerializeToString(deterministic=True)


@lru_cache(maxsize=_PARTS_MAX)
def _middle_of_core(
    rule_hits: tuple[RuleHit, ...],
    degradations: tuple[Degradation, ...],
    provisional: bool,  # noqa: FBT001  # a key of the cache
    rung: Rung,
    versions: Versions,
) -> bytes:
    """Fields 8 to 12."""
    message = decision_pb2.DecisionCore(
        provisional=provisional,
        rung=rung,  # type: ignore[arg-type]
    )
    for hit in rule_hits:
        message.rule_hits.add(
            rule=hit.rule,
            outcome=hit.outcome,
            mode=hit.mode,
            unknown=hit.unknown,
            case=hit.case,
        )
    for degradation in degradations:
        message.degradations.add(
            code=degradation.code,
            detail=degradation.detail,
        )
    message.versions.model = versions.model
    message.versions.policy = versions.policy
    message.versions.features = versions.features
    message.versions.rates = versions.rates
    message.versions.lists = versions.lists
    return message.SerializeToString(deterministic=True)


@lru_cache(maxsize=_PARTS_MAX)
def _end_of_core(
    inexact: tuple[str, ...],
    target: ComputeTarget,
    second_look: SecondLook,
    arm: Arm,
    let_through: float | None,
) -> bytes:
    """Fields 14 to 18."""
    return decision_pb2.DecisionCore(
        inexact_features=inexact,
        target=target,  # type: ignore[arg-type]
        second_look=second_look,  # type: ignore[arg-type]
        arm=arm,  # type: ignore[arg-type]
        let_through=let_through,
    ).SerializeToString(deterministic=True)


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
    if check.incarnation:
        encoded += b"\x48" + varint_to_bytes(check.incarnation)
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


@lru_cache(maxsize=_PARTS_MAX)
def shadows_to_bytes(shadows: tuple[ShadowOutcome, ...]) -> bytes:
    """Encode what `logged_to_bytes` puts beside a decision of policies in shadow."""
    message = decision_pb2.Decision()
    for shadow in shadows:
        told = message.shadows.add(
            policy=shadow.policy,
            outcome=shadow.outcome,
        )
        for hit in shadow.rule_hits:
            told.rule_hits.add(
                rule=hit.rule,
                outcome=hit.outcome,
                mode=hit.mode,
                unknown=hit.unknown,
            )
    return message.SerializeToString(deterministic=True)


def logged_to_bytes(decision: bytes, check: Check, shadows: bytes = b"") -> bytes:
    """The encoded Decision with its accepted transaction, for the decisions topic.

    `shadows` are encoded by `shadows_to_bytes`.
    """
    transaction = transaction_to_proto(check.transaction)
    received_at = timestamp_from_ms(check.received_at_ms)
    return (
        decision
        + field_to_bytes(3, transaction.SerializeToString(deterministic=True))
        + field_to_bytes(4, received_at.SerializeToString(deterministic=True))
        + shadows
    )


def decision_part(logged: bytes) -> bytes:
    """The encoded Decision that `logged_to_bytes` embedded, as it was recorded."""
    message = decision_from_bytes(logged)
    return decision_to_bytes(
        message.core.SerializeToString(deterministic=True),
        message.trace.SerializeToString(deterministic=True),
    )


def recorded(decision: bytes) -> bytes:
    """A provisional decision as it becomes the record: the same, and final.

    A decision that is final already comes back as it is.
    """
    message = decision_from_bytes(decision)
    if not message.core.provisional:
        return decision
    message.core.provisional = False
    return decision_to_bytes(
        message.core.SerializeToString(deterministic=True),
        message.trace.SerializeToString(deterministic=True),
    )


def carried_of(logged: bytes, content_type: str) -> Transaction:
    """What names and places a logged decision's record: id, tenant, card, customer.

    Nothing else is read, so that a decision of a later release is carried as it is.
    Raises `CorruptState` for bytes that are no logged decision, and for one with
    fields that JSON of this release would drop.
    """
    message = decision_pb2.Decision()
    try:
        message.ParseFromString(logged)
    except DecodeError as error:
        raise CorruptState("it is no logged decision") from error
    t = message.transaction
    if not t.id:
        raise CorruptState("it holds no transaction")
    if content_type == JSON:
        size = message.ByteSize()
        message.DiscardUnknownFields()
        if message.ByteSize() != size:
            raise CorruptState("it has fields of a later release, and JSON drops them")
    return Transaction(
        tenant=t.tenant or DEFAULT_TENANT, id=t.id, card=t.card, customer=t.customer
    )


def decision_from_bytes(raw: bytes) -> decision_pb2.Decision:
    """Parse what `decision_to_bytes` or `logged_to_bytes` wrote."""
    return decision_pb2.Decision.FromString(raw)


def decided_at_ms(decision: bytes) -> int:
    """When an encoded or logged decision was made, wall clock, ms since 1970."""
    return ms_from_timestamp(decision_from_bytes(decision).trace.decided_at)


def position_of(decision: bytes) -> str:
    """Which input record made a recorded decision; empty for gRPC."""
    return decision_from_bytes(decision).trace.position


def door_of(decision: bytes) -> Door:
    """Which door made a recorded decision."""
    return Door(decision_from_bytes(decision).trace.door)
