"""A decision in JSON says its features by name, and is read back as it was."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import example, given
from hypothesis import strategies as st

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.errors import CorruptState
from scoring.history.rows import decision_row
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.topic_names import Topics
from scoring.v1.decision_pb2 import Decision, DecisionCore, Outcome, Versions
from scoring.wire.shadow_decisions import judged_from_bytes

CATALOGUE = default_catalogue()
NAN = float("nan")
# Protobuf writes the largest float32 of all in a way that it does not read.
MOST = float(np.nextafter(np.finfo(np.float32).max, np.float32(0)))
float32s = st.floats(-MOST, MOST, width=32)


def decision(features, *, version=CATALOGUE.version) -> Decision:
    return Decision(
        core=DecisionCore(
            tenant="default",
            transaction_id="t1",
            payload_hash=b"\1" * 32,
            outcome=Outcome.OUTCOME_DECLINE,
            versions=Versions(features=version),
            features=features,
        ),
        transaction=wire.transaction_to_proto(
            Transaction("default", "t1", occurred_at_ms=1_000, currency="EUR")
        ),
        received_at=wire.timestamp_from_ms(2_000),
    )


def written(message, catalogue=CATALOGUE):
    return json.loads(wire.decision_to_json(message.SerializeToString(), catalogue))


def vector(**known):
    return [known.get(name, NAN) for name in CATALOGUE.names]


def test_every_feature_has_its_name_and_what_is_unknown_is_null():
    features = written(decision(vector(card_count_1h=3.0)))["features"]
    assert list(features) == list(CATALOGUE.names)
    assert features.pop("card_count_1h") == 3.0
    assert set(features.values()) == {None}


@pytest.mark.parametrize("catalogue", [None, replace(CATALOGUE, version="another")])
def test_names_of_other_definitions_are_never_guessed(catalogue):
    said = written(decision(vector(card_count_1h=3.0)), catalogue)
    assert "features" not in said
    assert len(said["core"]["features"]) == len(CATALOGUE.names)


def test_a_decision_without_a_vector_names_no_features():
    assert "features" not in written(decision([]))


def test_a_vector_that_its_own_catalogue_cannot_name_is_corrupt():
    with pytest.raises(CorruptState):
        written(decision([1.0]))


@given(float32s.filter(lambda x: x == 0 or abs(x) >= np.finfo(np.float32).tiny))
@example(0.1)
@example(-0.0)
@example(16_777_217.0)
@example(MOST)
def test_a_number_is_the_shortest_that_is_the_same_float32(number):
    catalogue = SimpleNamespace(version="v", names=("x",))
    raw = decision([number], version="v").SerializeToString()
    text = wire.decision_to_json(raw, catalogue).decode()
    said = text.rpartition('{"x": ')[2].removesuffix("}}")
    assert np.float32(said).tobytes() == np.float32(number).tobytes()
    assert digits(said) == digits(np.format_float_scientific(np.float32(number)))


def digits(number):
    """What a number says besides its size: "1.50e3" and "1500.0" say "15"."""
    return number.lower().partition("e")[0].replace(".", "").strip("-+0")


# As written before features had names: the list alone.
BEFORE = (None, CATALOGUE)


@given(st.lists(float32s | st.just(NAN), min_size=64, max_size=64))
def test_json_with_and_without_names_is_archived_and_judged_like_the_binary_form(
    numbers,
):
    raw = decision(numbers[: len(CATALOGUE.names)]).SerializeToString()
    forms = [(raw, wire.PROTOBUF)] + [
        (wire.decision_to_json(raw, catalogue), wire.JSON) for catalogue in BEFORE
    ]
    rows, vectors = [], []
    for value, content_type in forms:
        record = SimpleNamespace(
            value=value,
            headers=[("content-type", content_type.encode())],
            partition=0,
            offset=0,
        )
        row = decision_row(record)
        row["features"] = np.array(row["features"], np.float32).tobytes()
        rows.append(row)
        judged = judged_from_bytes(value, content_type=content_type)
        vectors.append(judged.evidence.vector.tobytes())
    assert rows == [rows[0]] * len(forms)
    assert vectors == [vectors[0]] * len(forms)


def test_the_binary_form_is_what_was_logged_byte_for_byte():
    message = decision(vector(card_count_1h=3.0))
    raw, transaction = message.SerializeToString(), Transaction("default", "t1")
    records = DecisionRecords(Topics(), wire.PROTOBUF, CATALOGUE)
    assert records.record(raw, transaction).value == raw


@given(st.lists(float32s | st.just(NAN) | st.just(float("inf")), max_size=20))
@example([0.0, -0.0, 0.0, MOST, -MOST])
def test_numbers_are_written_as_canonical_json_writes_them(features):
    message = decision(features)
    said = json.loads(wire.decision_to_json(message.SerializeToString()))
    assert repr(said) == repr(json.loads(json_format.MessageToJson(message)))
