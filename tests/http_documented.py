"""Whether an HTTP answer is one that the OpenAPI document promises."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from http_parts import JSON, PROBLEM, Reply
from jsonschema import Draft202012Validator

from scoring.wire import openapi

DOCUMENT = openapi.document()
# Refusals of what is no call at all: no such route, or no such verb on it.
_OF_NO_CALL = {404, 405}


@lru_cache
def _validator(schema: str) -> Draft202012Validator:
    within = {"$ref": schema, "components": DOCUMENT["components"]}
    return Draft202012Validator(within)


def undocumented(reply: Reply, verb: str = "", path: str = "") -> str:
    """How an answer differs from what is promised; "" where it keeps to it.

    `path` is that of the document, "/v1/checks"; empty for what may be no call.
    """
    if reply.status == 200:
        if not path or reply.headers["content-type"] != JSON:
            return f"an answer of {reply.headers['content-type']}"
        operation = DOCUMENT["paths"][path][verb.lower()]
        schema = operation["responses"]["200"]["content"][JSON]["schema"]
        return _differs(schema.get("$ref", ""), reply.json)
    if reply.headers["content-type"] != PROBLEM:
        return f"a refusal of {reply.headers['content-type']}"
    if path and str(reply.status) not in _statuses(verb, path):
        return f"status {reply.status} is not documented"
    if not path and reply.status not in _OF_NO_CALL | _of_any():
        return f"status {reply.status} of no call"
    if reply.json["status"] != reply.status:
        return "its status is another"
    return _differs("#/components/schemas/Problem", reply.json)


def _statuses(verb: str, path: str) -> set[str]:
    return set(DOCUMENT["paths"][path][verb.lower()]["responses"])


def _of_any() -> set[int]:
    paths: dict[str, Any] = DOCUMENT["paths"]
    return {
        int(status)
        for operations in paths.values()
        for operation in operations.values()
        for status in operation["responses"]
        if status not in {"200", "500"}
    }


def _differs(schema: str, value: object) -> str:
    if not schema:
        return ""
    errors = list(_validator(schema).iter_errors(value))
    return str(errors[0]) if errors else ""
