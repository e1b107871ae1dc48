"""What the OpenAPI document has that is no message: problems, headers, who calls."""

from __future__ import annotations

from http import HTTPStatus

from scoring.wire.headers import PROBLEM_JSON, TIMEOUT_HEADER
from scoring.wire.schemas import Schema

SCHEMAS_AT = "#/components/schemas/"
SCHEMAS: dict[str, Schema] = {
    "Problem": {
        "description": "Why there is no answer, as RFC 9457 has it.",
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "Which kind of problem.",
            },
            "title": {
                "type": "string",
                "description": "The kind of problem, for people.",
            },
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": {
                "type": "string",
                "description": "What is wrong, and what would be right.",
            },
            "field": {
                "type": "string",
                "description": "The field that is wrong, where it is one.",
            },
            "retryAfterMs": {
                "type": "integer",
                "minimum": 1,
                "description": "Milliseconds until a retry is welcome.",
            },
        },
        "required": ["type", "title", "status", "detail"],
    },
    "Health": {
        "description": "Whether this process answers calls.",
        "type": "object",
        "properties": {
            "live": {"type": "boolean", "description": "It runs."},
            "ready": {
                "type": "boolean",
                "description": "It answers, degraded answers included.",
            },
            "outside": {
                "type": "object",
                "additionalProperties": {"type": "boolean"},
                "description": "Which systems outside answer it, by name.",
            },
        },
        "required": ["live", "ready", "outside"],
    },
}
HEALTHY = {"live": True, "ready": True, "outside": {"store": True}}
# What any call may say of itself.
HEADERS: dict[str, Schema] = {
    "timeout": {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Milliseconds that the answer may take. The configured budget "
        "is the limit where it is less, or nothing is said.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    },
    "requestId": {
        "name": "x-request-id",
        "in": "header",
        "description": "A name of yours for the request, which its answer returns.",
        "schema": {"type": "string", "maxLength": 128},
    },
    "traceparent": {
        "name": "traceparent",
        "in": "header",
        "description": "W3C trace context; kept in the decision's trace and returned.",
        "schema": {"type": "string"},
    },
}
CALLERS: dict[str, Schema] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A signed token, where the operator reads tokens.",
    },
    "certificate": {
        "type": "mutualTLS",
        "description": "A client certificate, where the operator asks for one.",
    },
}
_RETRY_AFTER: Schema = {
    "description": "Seconds until a retry is welcome.",
    "schema": {"type": "integer", "minimum": 1},
}
# Statuses whose answer may say when a retry is welcome.
_RETRIED = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_BECAUSE = {
    HTTPStatus.BAD_REQUEST: "The request is not valid; `field` names what is wrong.",
    HTTPStatus.UNAUTHORIZED: "It is not known who calls.",
    HTTPStatus.FORBIDDEN: "This caller may not do this.",
    HTTPStatus.NOT_FOUND: "Nothing is recorded under this id.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time.",
    HTTPStatus.CONFLICT: "The id was used for another payload.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not `application/json`.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "There is nothing to explain, or its model is not "
    "kept.",
    HTTPStatus.TOO_MANY_REQUESTS: "More than fits, or than this caller may send.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "Headers or path are too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An unexpected error, which the log describes.",
    HTTPStatus.NOT_IMPLEMENTED: "This installation lacks what the call needs.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part of the service does not answer; retry.",
    HTTPStatus.GATEWAY_TIMEOUT: "No answer came in time; the payment may be decided.",
}


def refusals(statuses: tuple[int, ...]) -> dict[str, Schema]:
    """The responses of an operation that may be refused with these statuses."""
    return {
        str(status): {"$ref": f"#/components/responses/{_name(status)}"}
        for status in statuses
    }


def responses() -> dict[str, Schema]:
    """Every refusal, by the name under which operations have it."""
    return {_name(status): _refusal(status) for status in _BECAUSE}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _refusal(status: HTTPStatus) -> Schema:
    content = {PROBLEM_JSON: {"schema": {"$ref": SCHEMAS_AT + "Problem"}}}
    refusal: Schema = {"description": _BECAUSE[status], "content": content}
    if status in _RETRIED:
        refusal["headers"] = {"Retry-After": _RETRY_AFTER}
    return refusal
