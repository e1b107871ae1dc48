"""The OpenAPI document is fresh, valid and true."""

import json

import pytest
import toolbox
from google.protobuf import json_format, message_factory
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from scoring.core.transaction.fields import FieldType, Role
from scoring.core.transaction.transaction import FIELDS, validate
from scoring.doors.calls.checks import BATCH_COUNT_MAX
from scoring.doors.calls.follow_ups import REPORTS_COUNT_MAX
from scoring.doors.calls.refusals import KINDS
from scoring.errors import InvalidTransaction
from scoring.v1.transaction_pb2 import Transaction
from scoring.wire import openapi, transactions
from scoring.wire.json_text import message_from_json
from scoring.wire.openapi_examples import EXAMPLES
from scoring.wire.routes import ROUTES

DOCUMENT = openapi.document()
SCHEMAS = DOCUMENT["components"]["schemas"]
BODIES = {r.in_body.name: r.in_body for r in ROUTES if r.in_body is not None}
ANSWERS = {r.method.output_type.name: r.method.output_type for r in ROUTES}


def keeps_to(name, value):
    schema = {"$ref": f"#/components/schemas/{name}"}
    whole = schema | {"components": DOCUMENT["components"]}
    return Draft202012Validator(whole).is_valid(value)


def test_the_published_document_is_what_the_contract_says_today():
    """When this fails: `make docs`."""
    file = toolbox.ROOT / "docs" / "schemas" / "openapi.json"
    assert file.read_bytes() == openapi.rendered()


def test_the_document_is_valid():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


@pytest.mark.parametrize("name", sorted(BODIES | ANSWERS))
def test_an_example_is_the_canonical_json_of_its_message(name):
    kind = message_factory.GetMessageClass((BODIES | ANSWERS)[name])
    message = message_from_json(json.dumps(EXAMPLES[name]).encode(), kind)
    assert json_format.MessageToDict(message) == EXAMPLES[name]
    assert keeps_to(name, EXAMPLES[name])


def test_no_example_is_of_a_body_that_nobody_sends():
    assert EXAMPLES.keys() == (BODIES | ANSWERS).keys()


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_body_with_a_name_that_the_contract_lacks_breaks_its_schema(name):
    assert not keeps_to(name, EXAMPLES[name] | {"amuont": 1})


def test_an_answer_may_have_names_that_a_later_release_adds():
    for name in ANSWERS:
        assert keeps_to(name, EXAMPLES[name] | {"later": 1})


def test_what_a_transaction_must_say_is_required():
    declared = {f.path for f in FIELDS if f.required and f.role is not Role.SCOPE}
    fields = Transaction.DESCRIPTOR.fields_by_name
    assert set(SCHEMAS["Transaction"]["required"]) == {
        fields[name].json_name for name in declared
    }


def test_lists_hold_as_many_as_the_service_takes():
    checks = SCHEMAS["BatchCheckTransactionsRequest"]["properties"]["transactions"]
    labels = SCHEMAS["ReportLabelsRequest"]["properties"]["labels"]
    assert (checks["minItems"], checks["maxItems"]) == (1, BATCH_COUNT_MAX)
    assert (labels["minItems"], labels["maxItems"]) == (1, REPORTS_COUNT_MAX)


def beyond(field):
    """A value just outside what the field may be."""
    if field.is_token:
        return "x" * (field.characters_max + 1)
    if field.is_map:
        value = "" if field.type is FieldType.TEXTS else 1.5
        return {f"k{i}": value for i in range(field.entries_max + 1)}
    if field.type in {FieldType.WHOLE, FieldType.MONEY, FieldType.REAL}:
        return field.high + 1
    return None


LIMITED = {field.path: field for field in FIELDS if beyond(field) is not None}


@pytest.mark.parametrize("path", LIMITED)
def test_what_the_service_refuses_of_a_field_breaks_the_schema(path):
    said = EXAMPLES["Transaction"] | {"location": {"latitude": 1, "longitude": 1}}
    outer, _, inner = path.rpartition(".")
    said = json.loads(json.dumps(said))
    within = said[outer] if outer else said
    descriptor = Transaction.DESCRIPTOR
    if outer:
        descriptor = descriptor.fields_by_name[outer].message_type
    assert keeps_to("Transaction", said)
    within[descriptor.fields_by_name[inner].json_name] = beyond(LIMITED[path])
    assert not keeps_to("Transaction", said)
    message = message_from_json(json.dumps(said).encode(), Transaction)
    with pytest.raises(InvalidTransaction, match=path.replace(".", r"\.")):
        validate(transactions.transaction_from_proto(message))


def test_every_refusal_that_the_service_knows_is_documented():
    documented = {status for route in ROUTES for status in route.statuses}
    assert {kind.status.value for kind in KINDS.values()} <= documented


def test_every_call_is_documented_in_the_words_of_the_contract():
    operations = [o for path in DOCUMENT["paths"].values() for o in path.values()]
    assert all(operation["summary"] for operation in operations)
    described = [
        s for schema in SCHEMAS.values() for s in schema["properties"].values()
    ]
    assert all(schema["description"] for schema in described)
    assert all(schema["description"] for schema in SCHEMAS.values())
