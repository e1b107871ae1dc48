"""The OpenAPI document of the control plane, as its callers need it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

Schema = dict[str, Any]
_PROBLEM = "#/components/schemas/Problem"
_DESCRIPTION = """\
Policies, approvals, releases, lists, cases, people, replicas and audit of the fraud
decision service: what the risk team does, by the command line and any console alike.
The processes that decide never ask it: they follow what it released.

Every refusal is a problem (RFC 9457) with what is wrong, where, and what to do. Who
edits says by `If-Match` which state was read: where somebody else was first, the answer
is 409, or 412 with the lines that are different. Lists come in pages: send `next` back
as `cursor`.
"""
_TAGS = {
    "policies": "Versions, proposals, four eyes, and what runs.",
    "lists": "Tokens that policies name: one entry, or a million by a file.",
    "cases": "Payments that a person looks at: the queue, and how each ended.",
    "payments": "Archived ones, and others of the same card, device or customer.",
    "backtests": "What a version would have done with the archive's payments.",
    "models": "The registry's models, and which of them decides.",
    "audit": "Who did what, when and why; each entry holds the hash of the one before.",
    "people": "Who has a token of ours, and what they may do.",
    "replicas": "Which process runs what.",
    "health": "How this process is.",
}
# What any request may be refused with, and what those with a content, or a number, may.
_ANY = ("400", "401", "403", "503")
_MORE = {
    "post": ("404", "409", "412", "413", "415", "422"),
    "put": ("404", "409", "412", "413", "415", "422"),
    "delete": ("404",),
    "get": ("404",),
}
_SAYS = {
    "400": "It is not what the document says.",
    "401": "Nobody is named, or by a token that is refused.",
    "403": "This person may not.",
    "404": "There is no such thing.",
    "409": "Not in this state, or somebody else was first.",
    "412": "Another state than the one of If-Match.",
    "413": "The content is too large.",
    "415": "The content is no JSON.",
    "422": "A text is refused, or a written reason is missing.",
    "428": "If-Match is missing.",
    "503": "The database does not answer; nothing was changed.",
}
_FAULT: Schema = {
    "detail": {"type": "string", "description": "What is wrong."},
    "field": {"type": "string", "description": "Where: a field, in its path."},
    "line": {"type": "integer", "description": "In which line of a text."},
    "remedy": {"type": "string", "description": "What to do."},
}
_PROBLEM_SCHEMA: Schema = {
    "type": "object",
    "description": "Why a request is refused (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        **_FAULT,
        "errors": {
            "type": "array",
            "description": "Each of several mistakes.",
            "items": {"type": "object", "properties": _FAULT},
        },
        "changes": {
            "type": "array",
            "description": "What is different from what was read, line by line.",
            "items": {"type": "string"},
        },
        "because": {
            "type": "array",
            "description": "What a written reason is asked for.",
            "items": {"type": "string"},
        },
    },
    "required": ["type", "title", "status", "detail", "remedy"],
}


def document_of(app: FastAPI) -> Schema:
    """The document of an app, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return app.openapi_schema


def _made(app: FastAPI) -> Schema:
    made = get_openapi(
        title=app.title,
        version=app.version,
        summary="What the risk team's rules are, who approved them, and what runs.",
        description=_DESCRIPTION,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=[{"name": name, "description": says} for name, says in _TAGS.items()],
        servers=[{"url": "/"}],
    )
    schemas = made["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM_SCHEMA
    made["components"]["responses"] = {
        f"Problem{status}": {
            "description": says,
            "content": {"application/problem+json": {"schema": {"$ref": _PROBLEM}}},
        }
        for status, says in _SAYS.items()
    }
    made["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of ours, or an identity provider's (JWT).",
        }
    }
    made["security"] = [{"token": []}]
    for path in made["paths"].values():
        for verb, operation in path.items():
            _finish(verb, operation)
    return made


def _finish(verb: str, operation: Schema) -> None:
    """The refusals of an operation, and a summary that is its first sentence."""
    responses = operation["responses"]
    responses.pop("422", None)
    opened = operation["operationId"] == "health"
    operation["summary"] = operation.pop("description").partition("\n")[0].rstrip(".")
    refused = ("400", "503") if opened else (*_ANY, *_MORE[verb])
    if any(each["name"] == "if-match" for each in operation.get("parameters", ())):
        refused += ("428",)
    if opened:
        operation["security"] = []
    for status in refused:
        responses[status] = {"$ref": f"#/components/responses/Problem{status}"}
