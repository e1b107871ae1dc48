"""Each field of a transaction is declared once, and every part derives it.

Nothing here names a field: the tests iterate the declaration, so that one which a
part forgets fails under its own name. test_planted_omissions.py grows the
package by a field and runs them again.
"""

import dataclasses

import pytest
from google.protobuf import json_format

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.definition import DefinitionFile
from scoring.core.features.expression import parse
from scoring.core.features.readable import MEASURES
from scoring.core.policy.lists import LIST_FIELDS
from scoring.core.policy.rules.inputs import TRANSACTION
from scoring.core.policy.segments import Where, matcher
from scoring.core.transaction.difference import differing
from scoring.core.transaction.event_time import OCCURRED_AT_MS_MIN
from scoring.core.transaction.fields import Field, FieldType, Role
from scoring.core.transaction.transaction import (
    FIELDS,
    Transaction,
    payload_hash,
    validate,
)
from scoring.errors import CardNumberRefused, InvalidTransaction
from scoring.history.forget import named_entity
from scoring.history.rows import DECISIONS, TRANSACTION_FIELDS
from scoring.tables import cells, values
from scoring.tables.column_names import KNOWN_NAMES
from scoring.tables.mapping import FIELDS as MAPPED
from scoring.tables.mapping import shipped_mapping
from scoring.training.offline.sql import columns_of_transaction
from scoring.training.simulation.simulate import TRUTH_COLUMNS, World, simulate
from scoring.training.sql import connect
from scoring.v1 import transaction_pb2
from scoring.wire import schemas
from scoring.wire.stored_decisions import payment_of, recorded_to_bytes
from scoring.wire.transactions import disagreement

PAN = "4111111111111111"
CODES = ("DE", "FR", "EUR", "USD", "5411", "5999", "05", "06")
MESSAGE = transaction_pb2.Transaction.DESCRIPTOR
# What tables hold in another form: major units, times as people write them.
TOLD_APART = {"amount_minor": "amount", "occurred_at_ms": "occurred_at"}


def samples(field: Field) -> tuple[object, object]:
    """Two known values of a field that differ."""
    if field.type is FieldType.CODE:
        found = [*filter(field.codes.holds, (*field.codes.members, *CODES))]
        return found[0], found[1]
    if field.form:
        return field.form.examples
    return {
        FieldType.TEXT: ("one", "two"),
        FieldType.NAME: (1, 2),
        FieldType.WHOLE: (field.low + 1, field.low + 2),
        FieldType.MONEY: (0, 7),
        FieldType.REAL: (field.low + 1.5, field.low + 2.5),
        FieldType.INSTANT: (OCCURRED_AT_MS_MIN, OCCURRED_AT_MS_MIN + 1),
        FieldType.TEXTS: ({"key": "one"}, {"key": "two"}),
        FieldType.NUMBERS: ({"key": 0.0}, {"key": 1.5}),
    }[field.type]


FULL = Transaction(**{field.name: samples(field)[0] for field in FIELDS})
BARE = Transaction("one", "one", occurred_at_ms=OCCURRED_AT_MS_MIN, currency="EUR")


def of(*types: FieldType):
    """Each field of some types under its own name."""
    found = [field for field in FIELDS if not types or field.type in types]
    return pytest.mark.parametrize("field", found, ids=lambda field: field.name)


def where(chosen):
    found = [field for field in FIELDS if chosen(field)]
    return pytest.mark.parametrize("field", found, ids=lambda field: field.name)


def but(payment: Transaction, field: Field, value: object) -> Transaction:
    return dataclasses.replace(payment, **{field.name: value})


def test_the_declaration_and_the_message_name_the_same_fields():
    assert not disagreement(FIELDS, MESSAGE)


def test_every_field_of_the_class_is_declared_and_in_order():
    assert [f.name for f in FIELDS] == [f.name for f in dataclasses.fields(Transaction)]
    assert [f.number for f in FIELDS] == sorted(f.number for f in FIELDS)


@where(lambda field: field.absent is None)
def test_a_field_that_may_be_unknown_is_not_0_where_it_is_left_out(field):
    """A 0 is a value wherever absent is said by nothing: in the message as well."""
    within, _, own = field.path.rpartition(".")
    message = MESSAGE.fields_by_name[within].message_type if within else MESSAGE
    assert message.fields_by_name[own].has_presence
    said = transaction_pb2.Transaction(occurred_at={"seconds": 1})
    holder = getattr(said, within) if within else said
    setattr(holder, own, 0)
    assert getattr(wire.transaction_from_proto(said), field.name) == 0
    holder.ClearField(own)
    assert getattr(wire.transaction_from_proto(said), field.name) is None


# Identity -----------------------------------------------------------------------


@of()
def test_the_payload_hash_covers_the_field(field):
    assert payload_hash(but(FULL, field, samples(field)[1])) != payload_hash(FULL)


@where(lambda field: not field.required and field.role is not Role.SCOPE)
def test_a_field_that_is_left_out_hashes_as_nothing(field):
    without = payload_hash(but(FULL, field, field.absent))
    assert without != payload_hash(FULL)
    if "." not in field.path:
        known = but(BARE, field, samples(field)[0])
        assert payload_hash(but(known, field, field.absent)) == payload_hash(BARE)


@where(lambda field: field.name != "attributes")
def test_a_conflict_names_the_field(field):
    told = differing(FULL, but(FULL, field, samples(field)[1]))
    assert told == (field.path.split(".")[0],)


# Limits -------------------------------------------------------------------------


def test_a_payment_with_every_field_is_within_its_limits():
    validate(FULL)


def beyond(field: Field) -> object:
    return {
        FieldType.TEXT: "x" * 100_000,
        FieldType.CODE: "x" * 100_000,
        FieldType.NAME: field.high + 1,
        FieldType.WHOLE: field.high + 1,
        FieldType.MONEY: field.high + 1,
        FieldType.REAL: field.high + 1.0,
        FieldType.INSTANT: field.high + 1,
        FieldType.TEXTS: {"key": "x" * 100_000},
        FieldType.NUMBERS: {"key": float("inf")},
    }[field.type]


@of()
def test_a_value_beyond_its_limit_is_refused_by_the_fields_name(field):
    with pytest.raises(InvalidTransaction) as refused:
        validate(but(FULL, field, beyond(field)))
    assert refused.value.field.startswith(field.path)


@of(FieldType.TEXT, FieldType.CODE, FieldType.TEXTS, FieldType.NUMBERS)
def test_a_card_number_in_the_field_is_refused_and_never_repeated(field):
    said = {FieldType.TEXTS: {"key": PAN}, FieldType.NUMBERS: {"key": float(PAN)}}
    value = said.get(field.type, PAN)
    with pytest.raises(InvalidTransaction) as refused:
        validate(but(FULL, field, value))
    assert "4111" not in str(refused.value)
    if field.type is not FieldType.CODE and field.role is not Role.SCOPE:
        assert isinstance(refused.value, CardNumberRefused)
        assert refused.value.field == field.path


# The wire -----------------------------------------------------------------------


@of()
def test_the_field_passes_protobuf_json_and_the_store(field):
    for value in samples(field):
        payment = but(FULL, field, value)
        message = wire.transaction_to_proto(payment)
        raw, text = message.SerializeToString(), json_format.MessageToJson(message)
        assert wire.transaction_from_bytes(raw) == payment
        read = wire.transaction_from_bytes(text.encode(), content_type=wire.JSON)
        assert read == payment
        kept = payment_of(
            recorded_to_bytes(b"", payment), tenant=payment.tenant, id_=payment.id
        )
        assert kept == payment


@of()
def test_the_field_is_in_the_published_schemas(field):
    schema = schemas.json_schema(MESSAGE, title="transactions")["$defs"]
    own = MESSAGE.fields_by_name[field.path.split(".")[0]].json_name
    assert own in schema["Transaction"]["properties"]
    assert own in schemas.published()["transactions.schema.json"]().decode()


# Rules, lists, segments, features -----------------------------------------------


@where(lambda field: field.in_rules)
def test_rules_may_read_the_field(field):
    assert field.name in TRANSACTION


@where(lambda field: field.is_selectable)
def test_lists_and_segments_may_ask_for_the_field(field):
    assert field.name in LIST_FIELDS
    told, other = samples(field)
    names = field.member_names
    asked = Where(**{field.name: names.get(told, told)})
    matches = matcher(asked, lambda t: t.amount_minor)
    assert matches(FULL)
    assert not matches(but(FULL, field, other))
    assert not matches(but(FULL, field, field.absent))


@where(lambda field: field.is_text and field.role is not Role.SCOPE)
def test_features_may_name_the_field_as_entity_and_counterpart(field):
    definitions = {
        "name": "one",
        "currency": {"reference": "EUR"},
        "entities": {"one": field.name},
        "features": [
            {
                "name": "n", "entity": "one", "statistic": "count", "windows": ["1h"],
                "reason_group": "N", "description": "How many.",
            },
            {
                "name": "d", "entity": "one", "statistic": "changed", "of": field.name,
                "reason_group": "N", "description": "Whether it is another.",
            },
        ],
    }  # fmt: skip
    assert DefinitionFile(**definitions).entities == {"one": (field.name,)}


READ_AS = {FieldType.NAME, FieldType.WHOLE, FieldType.REAL}


@where(lambda f: f.type in READ_AS or (f.is_text and f.role is not Role.SCOPE))
def test_filters_may_read_the_field(field):
    assert parse(f"known({field.name})").kind == "truth"
    assert (field.name in MEASURES) == (field.type is FieldType.WHOLE)


@where(lambda field: field.role is Role.ENTITY)
def test_an_entity_can_be_forgotten_by_the_field(field):
    told = named_entity(f"{field.name}:one", "default", default_catalogue())
    assert told.field == field.name


# Tables -------------------------------------------------------------------------


@where(lambda field: not field.is_map)
def test_a_table_can_bring_the_field(field):
    told = TOLD_APART.get(field.name, field.name)
    assert told in MAPPED
    if field.role is not Role.SCOPE:
        assert KNOWN_NAMES[told]
    if told == field.name:
        for value in samples(field):
            text = field.member_names.get(value, str(value))
            assert cells.parser(field.name, shipped_mapping("scoring"))(text) == value
            assert values.can_be(field.name, [text])


@of()
def test_the_archive_keeps_the_field(field):
    assert field.name in TRANSACTION_FIELDS
    assert field.name in DECISIONS.names


@where(lambda f: f.name not in TOLD_APART and not f.is_map)
def test_a_table_that_lacks_the_field_does_not_know_it(field):
    with connect() as con:
        con.execute("CREATE TABLE bare AS SELECT 1 AS one")
        sql = f"SELECT {columns_of_transaction({'one': 'INTEGER'})} FROM bare"  # noqa: S608
        names = [d[0] for d in con.execute(sql).description]
        row = dict(zip(names, con.fetchone(), strict=True))
    assert row[field.name] == field.absent


def test_the_simulated_world_knows_only_declared_fields():
    table = simulate(World(days=1, customers=20, terminals=20))
    simulated = set(table.column_names) - {*TRUTH_COLUMNS}
    assert simulated <= {field.name for field in FIELDS}
    for name in simulated:
        assert table.schema.field(name).type == DECISIONS.field(name).type


# The other way round: an order, a type or a place that nobody thought of ---------


@pytest.mark.parametrize("type_", FieldType, ids=lambda type_: type_.name)
def test_some_field_tries_every_type(type_):
    assert any(field.type is type_ for field in FIELDS)


def test_enumerations_count_without_gaps():
    for field in FIELDS:
        if field.members:
            assert [*map(int, field.members)] == [*range(len(field.members))]
