"""The control plane's ASGI application, and its OpenAPI document."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from scoring.control.api import (
    backtests,
    cases,
    list_imports,
    lists,
    models,
    payments,
    policies,
    records,
    thresholds,
)
from scoring.control.api.health import Condition, health_router
from scoring.control.api.openapi import document_of
from scoring.control.api.plane import Plane
from scoring.control.api.problems import ControlProblem, problem
from scoring.control.api.requests import AsgiApp, BoundedBodies

OPENAPI_PATH = "/openapi.json"
# Files of lists come whole; what is read of them is bounded by their own limit.
_LARGER = {"/v1/lists/": list_imports.FILE_BYTES_MAX}
BODY_BYTES_MAX = 2_097_152  # a policy and its reasons, as JSON


def control_api(
    plane: Plane,
    condition: Condition | None = None,
    *,
    larger: Mapping[str, int] | None = None,
) -> AsgiApp:
    """The API at the desks of a plane.

    `condition` says how the process is; `larger` which paths take larger contents.
    """
    app = _routed()
    app.state.plane = plane
    app.include_router(health_router(condition or Condition()))
    return BoundedBodies(app, BODY_BYTES_MAX, _LARGER | dict(larger or {}))


def document() -> dict[str, Any]:
    """The OpenAPI document; the same in every installation."""
    app = _routed()
    app.include_router(health_router(Condition()))
    return app.openapi()


def _routed() -> FastAPI:
    app = FastAPI(
        title="Fraud decisions: control",
        version="1",
        openapi_url=OPENAPI_PATH,
        docs_url=None,  # their pages would load scripts from somewhere else
        redoc_url=None,
        redirect_slashes=False,
    )
    tested = (backtests, thresholds, models)
    subjects = (policies, *tested, lists, list_imports, cases, payments, records)
    for subject in subjects:
        app.include_router(subject.router)
    app.add_exception_handler(HTTPException, _unrouted)
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign] # documented so
    return app


def _unrouted(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _without_route(error).response()


def _without_route(error: HTTPException) -> ControlProblem:
    """What no router takes: a path or a verb that is not there."""
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = Headers(error.headers or {}).get("allow", "")
        found = problem(
            status,
            "method-not-allowed",
            "this path does not have this method",
            remedy=f"send {allowed}",
        )
        found.headers["allow"] = allowed
        return found
    if status is HTTPStatus.NOT_FOUND:
        return problem(
            status,
            "no-route",
            "there is no such path",
            remedy=f"{OPENAPI_PATH} lists them",
        )
    return problem(status, "malformed", "the request cannot be read")


def rendered() -> bytes:
    """The document as the file that is published."""
    return (json.dumps(document(), indent=2, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    sys.stdout.buffer.write(rendered())
