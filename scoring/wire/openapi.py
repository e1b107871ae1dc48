"""The OpenAPI document of the HTTP door, made from the contract and the routes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from http import HTTPStatus

from google.protobuf.descriptor import Descriptor

from scoring.core.transaction.fields import Field, FieldType
from scoring.core.transaction.transaction import FIELDS
from scoring.v1 import transaction_pb2
from scoring.wire.openapi_examples import EXAMPLES
from scoring.wire.proto_text import meaning, meanings
from scoring.wire.routes import ROUTES, SERVICE, Route
from scoring.wire.schemas import Schema, json_schema

OPENAPI = "3.1.0"
PROBLEM_JSON = "application/problem+json"
_COMPONENTS = "#/components/schemas/"
_REQUIRED = re.compile(r"\brequired[;.]")
_MANY = re.compile(r"1 to ([\d,]+) ")
_PACKAGE = "scoring.v1"
_PROBLEM: Schema = {
    "description": "Why there is no answer, as RFC 9457 has it.",
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "Which kind of problem.",
        },
        "title": {"type": "string", "description": "The kind of problem, in words."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {
            "type": "string",
            "description": "What is wrong, and what would be right.",
        },
        "field": {
            "type": "string",
            "description": "The field that is wrong, where one is.",
        },
    },
    "required": ["type", "title", "status", "detail"],
}
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
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A signed token, where the operator reads tokens.",
}
_CERTIFICATE = {
    "type": "mutualTLS",
    "description": "A client certificate, where the operator asks for one.",
}
_RETRY_AFTER = {
    "description": "Seconds until a retry is welcome.",
    "schema": {"type": "integer", "minimum": 0},
}
# Statuses whose answer may say when a retry is welcome.
_RETRIED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_REFUSED_BECAUSE = {
    HTTPStatus.BAD_REQUEST: "The request is not valid; `field` names what is wrong.",
    HTTPStatus.UNAUTHORIZED: "It is not known who calls.",
    HTTPStatus.FORBIDDEN: "This caller may not do this.",
    HTTPStatus.NOT_FOUND: "Nothing is recorded under this id.",
    HTTPStatus.CONFLICT: "The id was used for another payload.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not `application/json`.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "There is nothing to explain, or its model is "
    "not kept.",
    HTTPStatus.TOO_MANY_REQUESTS: "More than fits, or than this caller may send; retry "
    "after `Retry-After`.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An unexpected error, which the log describes.",
    HTTPStatus.NOT_IMPLEMENTED: "This installation lacks what the call needs.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part of the service does not answer; retry.",
    HTTPStatus.GATEWAY_TIMEOUT: "No answer came in time; the payment may be decided.",
}


def document() -> Schema:
    """The whole document; the same in every installation."""
    refusals = sorted({status for route in ROUTES for status in route.statuses})
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
            "responses": {_refusal_name(s): _refusal(s) for s in refusals},
            "securitySchemes": {"token": _BEARER, "certificate": _CERTIFICATE},
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
    return found


def _operation(route: Route, says: dict[str, str]) -> Schema:
    operation: Schema = {
        "operationId": route.rpc[0].lower() + route.rpc[1:],
        "summary": says[route.rpc].partition(". ")[0].partition(";")[0].rstrip("."),
        "parameters": [*_parameters(route)],
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
    refusals = {
        str(status): {"$ref": f"#/components/responses/{_refusal_name(status)}"}
        for status in route.statuses
    }
    operation["responses"] = {"200": answer} | refusals
    return operation


def _json_of(message: Descriptor) -> Schema:
    schema = {"$ref": _COMPONENTS + message.name}
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


def _refusal_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _refusal(status: int) -> Schema:
    content = {PROBLEM_JSON: {"schema": {"$ref": _COMPONENTS + "Problem"}}}
    refusal: Schema = {
        "description": _REFUSED_BECAUSE[HTTPStatus(status)],
        "content": content,
    }
    if status in _RETRIED:
        refusal["headers"] = {"Retry-After": _RETRY_AFTER}
    return refusal


def _schemas() -> dict[str, Schema]:
    """The schema of each message that a body holds, and of a problem."""
    asked: set[str] = set()
    found: dict[str, Schema] = {"Problem": _PROBLEM}
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
    found: dict[str, Schema] = json.loads(made.replace("#/$defs/", _COMPONENTS))
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
    if field.type is FieldType.TEXTS:
        return {
            "maxProperties": field.entries_max,
            "propertyNames": {"minLength": 1, "maxLength": field.key_characters_max},
            "additionalProperties": {
                "type": "string",
                "maxLength": field.characters_max,
            },
        }
    if field.is_token:
        least = {"minLength": 1} if field.required else {}
        return {**least, "maxLength": field.characters_max}
    if field.type in {FieldType.WHOLE, FieldType.MONEY, FieldType.REAL}:
        return {"minimum": field.low, "maximum": field.high}
    return {}


if __name__ == "__main__":
    sys.stdout.buffer.write(rendered())
