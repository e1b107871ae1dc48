"""Any transaction survives both encodings, with the same identity."""

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from scoring import wire
from scoring.core.decision.decision import (
    ComputeTarget,
    DecisionCore,
    Degradation,
    DegradationCode,
    Outcome,
    Reason,
    ReasonSource,
    RuleHit,
    RuleMode,
    Rung,
    SecondLook,
    Velocity,
    Versions,
)
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.errors import InvalidTransaction
from scoring.v1 import decision_pb2

texts = st.text(st.characters(codec="utf-8"), max_size=20)
transactions = st.builds(
    Transaction,
    tenant=texts.filter(bool),
    id=texts,
    payment_id=texts,
    attempt=st.integers(0, 1000),
    occurred_at_ms=st.integers(0, 4_102_444_800_000),
    amount_minor=st.none() | st.integers(-(2**63), 2**63 - 1),
    currency=texts,
    card=texts,
    customer=texts,
    merchant=texts,
    terminal=texts,
    device=texts,
    channel=st.integers(0, 9),
    entry_mode=st.integers(0, 9),
    merchant_category=texts,
    card_country=texts,
    merchant_country=texts,
    ip_country=texts,
    attributes=st.dictionaries(texts, texts, max_size=4),
    session=texts,
    billing_address=texts,
    billing_country=texts,
    eci=texts,
    rail=st.integers(0, 9),
    numbers=st.dictionaries(texts, st.floats(allow_nan=False), max_size=4),
)
places = st.none() | st.tuples(
    st.floats(-90, 90, allow_nan=False), st.floats(-180, 180, allow_nan=False)
)


def placed(transaction: Transaction, place: tuple[float, float] | None) -> Transaction:
    fields = {name: getattr(transaction, name) for name in Transaction.__slots__}
    fields["latitude"], fields["longitude"] = place or (None, None)
    return Transaction(**fields)


@given(transactions, places)
def test_protobuf_and_json_carry_the_same_transaction_and_hash(transaction, place):
    transaction = placed(transaction, place)
    message = wire.transaction_to_proto(transaction)
    text = json_format.MessageToJson(message).encode()
    read = wire.transaction_from_bytes(message.SerializeToString())
    assert read == transaction
    again = wire.transaction_from_bytes(text, content_type=wire.JSON)
    assert payload_hash(again) == payload_hash(transaction)


@given(st.binary(max_size=200), st.sampled_from([wire.PROTOBUF, wire.JSON]))
def test_any_bytes_are_a_transaction_or_a_refusal(raw, content_type):
    try:
        wire.transaction_from_bytes(raw, content_type=content_type)
    except InvalidTransaction as refusal:
        assert str(refusal)  # noqa: PT017


floats = st.floats(width=32)
velocities = st.builds(
    Velocity,
    texts,
    st.floats(),
    st.floats(),
    exact=st.booleans(),
    clears_at_ms=st.none() | st.integers(0, 4_102_444_800_000),
)
reasons = st.builds(
    Reason,
    texts,
    texts,
    st.sampled_from(ReasonSource),
    floats,
    st.none() | velocities,
)
hits = st.builds(
    RuleHit, texts, st.sampled_from(Outcome), st.sampled_from(RuleMode), st.booleans()
)
cores = st.builds(
    DecisionCore,
    texts,
    texts,
    st.binary(max_size=32),
    st.sampled_from(Outcome),
    st.none() | st.floats(),
    st.none() | st.floats(),
    st.lists(reasons, max_size=3).map(tuple),
    st.lists(hits, max_size=2).map(tuple),
    st.lists(
        st.builds(Degradation, st.sampled_from(DegradationCode), texts), max_size=2
    ).map(tuple),
    st.booleans(),
    st.sampled_from(Rung),
    st.builds(Versions, texts, texts, texts),
    st.binary(max_size=4).map(lambda part: part * 4),
    st.lists(texts, max_size=2).map(tuple),
    st.sampled_from(ComputeTarget),
    st.sampled_from(SecondLook),
)


@given(cores)
def test_a_core_is_encoded_to_the_bytes_that_protobuf_itself_would_write(core):
    encoded = wire.core_to_bytes(core)
    read = decision_pb2.DecisionCore.FromString(encoded)
    assert read.SerializeToString(deterministic=True) == encoded
    assert [reason.code for reason in read.reasons] == [r.code for r in core.reasons]
    assert [hit.rule for hit in read.rule_hits] == [h.rule for h in core.rule_hits]
    assert read.second_look == core.second_look
