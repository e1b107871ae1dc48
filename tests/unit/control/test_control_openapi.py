"""The published document of the control plane is fresh, sound, and complete."""

import json
from pathlib import Path

import pytest
from openapi_spec_validator import validate

from scoring.control.api import app

PUBLISHED = Path(__file__).parents[3] / "docs" / "schemas" / "control-openapi.json"
DOCUMENT = app.document()
OPERATIONS = [
    (verb, path, operation)
    for path, verbs in DOCUMENT["paths"].items()
    for verb, operation in verbs.items()
]


def test_the_published_document_is_what_the_routes_are_today():
    """When this fails: `make docs`."""
    assert PUBLISHED.read_bytes() == app.rendered()


def test_it_is_openapi_3_1():
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


@pytest.mark.parametrize(("verb", "path", "operation"), OPERATIONS)
def test_every_refusal_of_an_operation_is_a_problem(verb, path, operation):
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            name = response["$ref"].rpartition("/")[2]
            found = DOCUMENT["components"]["responses"][name]
            assert set(found["content"]) == {"application/problem+json"}, (verb, path)


def test_no_shape_of_the_framework_is_left():
    assert "HTTPValidationError" not in json.dumps(DOCUMENT)


def test_whatever_is_asked_but_health_needs_a_token():
    opened = [
        path for _, path, operation in OPERATIONS if operation.get("security") == []
    ]
    assert opened == ["/healthz"]
    assert DOCUMENT["security"] == [{"token": []}]
