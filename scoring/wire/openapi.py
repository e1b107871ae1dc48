"""The OpenAPI document of the HTTP door, made from the contract and the routes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor

from scoring.core.transaction.fields import Field, FieldType
from scoring.core.transaction.transaction import FIELDS
from scoring.v1 import transaction_pb2
from scoring.wire.openapi_components import (
    CALLERS,
    HEADERS,
    HEALTHY,
    SCHEMAS,
    SCHEMAS_AT,
    refusals,
    responses,
)
from scoring.wire.openapi_examples import EXAMPLES
from scoring.wire.proto_text import meaning, meanings
from scoring.wire.routes import (
    HEALTH_PATH,
    OPENAPI_PATH,
    ROUTES,
    SERVICE,
    Route,
)
from scoring.wire.schemas import Schema, json_schema

OPENAPI = "3.1.0"
_REQUIRED = re.compile(r"\brequired[;.]")
_MANY = re.compile(r"1 to ([\d,]+) ")
_PACKAGE = "scoring.v1"
# What a request may be refused with that is no call.
_OF_ANYTHING = (400, 408, 431, 503)
_DESCRIPTION = """\
Real-time fraud decisions over HTTP, by the same service as the gRPC contract
`scoring.v1.FraudScoring` and with the same meaning: bodies are the canonical JSON of
its messages. What is left out, or null, is not known; it is never 0. A name that is not
in the contract is refused. 64-bit numbers are written as texts and read as either.

A check is idempotent by tenant, id and payload: repeat it with the same bytes after a
timeout, and you get the recorded decision. The same id with another payload is a
conflict, 409. Every call ends within its deadline, or the configured budget where it
sets none.
"""


def document() -> Schema:
    """The whole document; the same in every installation."""
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Fraud decisions",
            "version": "1",
            "summary": "Approve, challenge, review or decline a payment, with reasons.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        # By the operator's choice: nobody is asked, or a token, or a certificate.
        "security": [{}, {"token": []}, {"certificate": []}],
        "paths": _paths(),
        "components": {
            "schemas": dict(sorted(_schemas().items())),
            "parameters": HEADERS,
            "responses": responses(),
            "securitySchemes": CALLERS,
        },
    }


def rendered() -> bytes:
    """The document as the file that is published and served."""
    return (json.dumps(document(), indent=2, ensure_ascii=False) + "\n").encode()


def _paths() -> Schema:
    says = meanings("fraud_scoring.proto", "service FraudScoring")
    found: Schema = {}
    for route in ROUTES:
        found.setdefault(route.path, {})[route.verb] = _operation(route, says)
    return found | {HEALTH_PATH: {"get": _health()}, OPENAPI_PATH: {"get": _itself()}}


def _health() -> Schema:
    schema = {"$ref": SCHEMAS_AT + "Health"}
    content = {"application/json": {"schema": schema, "example": HEALTHY}}
    return {
        "operationId": "health",
        "summary": "Says whether this process answers calls",
        "security": [],
        "responses": {"200": {"description": "It does.", "content": content}}
        | refusals(_OF_ANYTHING),
    }


def _itself() -> Schema:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": "openapi",
        "summary": "Returns this document",
        "security": [],
        "responses": {"200": {"description": "The document.", "content": content}}
        | refusals(_OF_ANYTHING),
    }


def _operation(route: Route, says: dict[str, str]) -> Schema:
    operation: Schema = {
        "operationId": route.rpc[0].lower() + route.rpc[1:],
        "summary": says[route.rpc].partition(". ")[0].partition(";")[0].rstrip("."),
        "parameters": [
            *_parameters(route),
            *({"$ref": f"#/components/parameters/{name}"} for name in HEADERS),
        ],
    }
    if route.in_body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": _json_of(route.in_body),
        }
    answer = {
        "description": "The answer.",
        "content": _json_of(route.method.output_type),
    }
    operation["responses"] = {"200": answer} | refusals(route.statuses)
    return operation


def _json_of(message: Descriptor) -> Schema:
    schema = {"$ref": SCHEMAS_AT + message.name}
    return {"application/json": {"schema": schema, "example": EXAMPLES[message.name]}}


def _parameters(route: Route) -> Iterator[Schema]:
    request = route.method.input_type
    says = meanings("fraud_scoring.proto", f"message {request.name}")
    of_message = json_schema(request, title="")["$defs"][request.name]["properties"]
    for place, fields in (("path", route.in_path), ("query", route.in_query)):
        for field in fields:
            yield {
                "name": field.name,
                "in": place,
                "required": place == "path",
                "description": says[field.name],
                "schema": of_message[field.json_name],
            }


def _schemas() -> dict[str, Schema]:
    """The schema of each message that a body holds, and of a problem."""
    asked: set[str] = set()
    found = dict(SCHEMAS)
    for route in ROUTES:
        if route.in_body is not None:
            within = _definitions(route.in_body)
            asked |= within.keys()
            found |= within
        found |= _definitions(route.method.output_type)
    for name in asked:  # what a request holds, the service knows or refuses
        found[name]["additionalProperties"] = False
    _limit(found)
    return found


def _definitions(message: Descriptor) -> dict[str, Schema]:
    """The schemas of a message and of all within it, with what the contract says."""
    made = json.dumps(json_schema(message, title="")["$defs"])
    found: dict[str, Schema] = json.loads(made.replace("#/$defs/", SCHEMAS_AT))
    for name, schema in found.items():
        _describe(schema, SERVICE.file.pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    return found


def _describe(schema: Schema, message: Descriptor) -> None:
    file_name = message.file.name.rpartition("/")[2]
    says = meanings(file_name, f"message {message.name}")
    schema["description"] = meaning(file_name, f"message {message.name}")
    required = [f.json_name for f in message.fields if _REQUIRED.search(says[f.name])]
    if required:
        schema["required"] = required
    for field in message.fields:
        own = schema["properties"][field.json_name]
        own["description"] = says[field.name]
        if many := _MANY.match(says[field.name]):
            own |= {"minItems": 1, "maxItems": int(many[1].replace(",", ""))}


def _limit(schemas: dict[str, Schema]) -> None:
    """Add the limits of a transaction's fields, as they are declared."""
    transaction = transaction_pb2.Transaction.DESCRIPTOR
    for field in FIELDS:
        outer, _, inner = field.path.rpartition(".")
        within = transaction.fields_by_name[outer].message_type if outer else None
        message = within or transaction
        name = message.fields_by_name[inner].json_name
        schemas[message.name]["properties"][name] |= _limits(field)


def _limits(field: Field) -> Schema:
    """What JSON Schema can say of a field's limits.

    >>> from scoring.core.transaction.transaction import FIELD_OF
    >>> _limits(FIELD_OF["card"])
    {'maxLength': 128}
    """
    if field.pattern is not None:
        return {"pattern": f"^({field.pattern.pattern})?$"}
    if field.codes is not None and field.is_text:
        return {"minLength": 1} if field.required else {}
    if field.is_map:
        texts = field.type is FieldType.TEXTS
        value = {"type": "string", "maxLength": field.characters_max}
        return {
            "maxProperties": field.entries_max,
            "propertyNames": {"minLength": 1, "maxLength": field.key_characters_max},
            "additionalProperties": value if texts else {"type": "number"},
        }
    if field.is_token:
        least = {"minLength": 1} if field.required else {}
        return {**least, "maxLength": field.characters_max}
    if field.type in {FieldType.WHOLE, FieldType.MONEY, FieldType.REAL}:
        return {"minimum": field.low, "maximum": field.high}
    return {}


if __name__ == "__main__":
    sys.stdout.buffer.write(rendered())
