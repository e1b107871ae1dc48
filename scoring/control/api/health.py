"""How the process is, for who sends it requests and who restarts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel

from scoring.control.api.problems import problem
from scoring.control.api.requests import StrictRoute

HEALTH_PATH = "/healthz"


def _always() -> bool:
    return True


@dataclass(slots=True)
class Condition:
    """How the process is: whether it takes requests, and whether what lies outside
    (the database, the log) answers.
    """

    ready: Callable[[], bool] = _always
    outside: Mapping[str, Callable[[], bool]] = field(default_factory=dict)


class HealthView(BaseModel):
    """Whether this process answers, and what of outside it does."""

    live: bool
    ready: bool
    outside: dict[str, bool]


def health_router(condition: Condition) -> APIRouter:
    """The one path that nobody need be known for."""
    router = APIRouter(tags=["health"], route_class=StrictRoute)

    @router.get(HEALTH_PATH, operation_id="health")
    def health() -> HealthView:
        """Say whether this process answers requests."""
        if not condition.ready():
            raise problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "draining",
                "this process ends",
                remedy="send it to another",
            )
        outside = {name: is_up() for name, is_up in condition.outside.items()}
        return HealthView(live=True, ready=True, outside=outside)

    return router
