"""The ASGI application: every request gets its answer, or one precise problem."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from scoring import wire
from scoring.core.decision.decision import Door
from scoring.core.transaction.trace_context import RETURNED
from scoring.doors.calls.call_watch import CallWatch, current_span
from scoring.doors.calls.serving import Outside
from scoring.doors.http.methods import Endpoint, HttpMethods
from scoring.doors.http.problems import Header, Problem
from scoring.doors.http.request import (
    CallerLeft,
    HttpRequest,
    Receive,
    Scope,
    Send,
)
from scoring.doors.http.routing import Router
from scoring.ports.metrics.calls import CANCELLED, LEFT, OTHER
from scoring.ports.spans import CallSpan
from scoring.wire.headers import PROBLEM_JSON, TRACE_RESPONSE
from scoring.wire.routes import HEALTH_PATH, OPENAPI_PATH

_JSON = (b"content-type", b"application/json")
_PROBLEM_JSON = (b"content-type", PROBLEM_JSON.encode())
_RETURNED = {name.encode(): accepted for name, accepted in RETURNED.items()}
_CLOSE = (b"connection", b"close")


@dataclass(slots=True)
class HttpApp:
    """Routes, answers, refuses. `openapi` is the document that is served.

    `ready` is false before it listens and from the drain on, when it asks callers to
    come again on another connection.
    """

    methods: HttpMethods
    watch: CallWatch
    monotonic: Callable[[], float]
    outside: Outside = field(default_factory=dict)
    openapi: Callable[[], bytes] | None = None
    ready: bool = False
    _router: Router[Endpoint] = field(default_factory=Router)

    def __post_init__(self) -> None:
        endpoints = self.methods.endpoints()
        for route in wire.ROUTES:
            if route.rpc in endpoints:
                self._router.add(route.verb, route.path, endpoints[route.rpc])
        self._router.add("GET", HEALTH_PATH, self._health)
        if self.openapi is not None:
            self._router.add("GET", OPENAPI_PATH, self._document)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; one whose caller leaves is cancelled."""
        connection = scope["state"]["connection"]
        connection.running = asyncio.current_task()
        connection.unread = True  # until it is
        route = self._router.route_of(scope["raw_path"]) or OTHER
        began_at, status = self.watch.began(Door.HTTP), LEFT
        span = None if self.watch.traces is None else self._span(scope, route)
        try:
            status = await self._answer(scope, receive, send, route)
        except asyncio.CancelledError:
            self.watch.left(Door.HTTP, route, partial(_host, scope))
            if not connection.lost:
                raise
        except CallerLeft:
            self.watch.left(Door.HTTP, route, partial(_host, scope))
        finally:
            connection.running = None
            if span is not None and status == LEFT:
                span.problem = CANCELLED
            self.watch.ended_request(route, status, began_at, span)

    def _span(self, scope: Scope, route: str) -> CallSpan | None:
        sent = dict(reversed(scope["headers"])).get(b"traceparent", b"")
        name = f"{scope['method']} {route}"
        return self.watch.span(Door.HTTP, name, sent.decode("latin-1"))

    def unheard(self, problem: Problem, host: str) -> None:
        """A connection was refused before there was a request."""
        why = (logging.WARNING, problem.detail, lambda: host)
        self.watch.telemetry.unheard(problem.status.value)
        self.watch.told(Door.HTTP, OTHER, problem.slug, why)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, route: str
    ) -> int:
        """The status that was sent."""
        # The first of two headers of one name counts.
        headers = dict(reversed(scope["headers"]))
        status, content_type = HTTPStatus.OK.value, _JSON
        more: tuple[Header, ...] = ()
        try:
            body = await self._served(scope, receive, headers)
        except CallerLeft:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: everything is translated
            problem = self._refused(scope, route, error)
            status, body = problem.status.value, problem.body()
            content_type, more = _PROBLEM_JSON, problem.headers
            await _discard(scope, receive)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    content_type,
                    (b"content-length", b"%d" % len(body)),
                    *more,
                    *_returned(headers),
                    *self._farewell(scope, headers),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})
        return status

    def _refused(self, scope: Scope, route: str, error: Exception) -> Problem:
        host = partial(_host, scope)
        if not isinstance(error, Problem):
            problem = Problem.of(self.watch.refused(Door.HTTP, route, error, host))
            _name_problem(problem.slug)
            return problem
        _name_problem(error.slug)
        why = (logging.WARNING, error.detail, host)
        self.watch.told(Door.HTTP, route, error.slug, why)
        return error

    async def _served(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes]
    ) -> bytes:
        arrived_at = self.monotonic()
        endpoint, path = self._router.at(scope["method"], scope["raw_path"])
        request = HttpRequest(scope, receive, headers, path, arrived_at, self.monotonic)
        request.refuse_without_one_host()
        return await endpoint(request)

    def _farewell(
        self, scope: Scope, headers: Mapping[bytes, bytes]
    ) -> tuple[Header, ...]:
        """Whether the connection ends: drained, of age, or with a content unread."""
        connection = scope["state"]["connection"]
        unread = connection.unread and (
            headers.get(b"content-length", b"0") != b"0"
            or b"transfer-encoding" in headers
        )
        aged = connection.leaves_at <= self.monotonic()
        return (_CLOSE,) if aged or not self.ready or unread else ()

    async def _health(self, _request: HttpRequest) -> bytes:
        if not self.ready:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "draining", "Draining", "not ready"
            )
        outside = {name: is_up() for name, is_up in self.outside.items()}
        told = {"live": True, "ready": True, "outside": outside}
        return json.dumps(told, separators=(",", ":")).encode()

    async def _document(self, _request: HttpRequest) -> bytes:
        assert self.openapi is not None
        return self.openapi()


async def _discard(scope: Scope, receive: Receive) -> None:
    """Drop a content that is there already, so that its connection may be kept."""
    connection = scope["state"]["connection"]
    if connection.unread:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                message = await receive()
            connection.unread = message.get("more_body", False)


def _host(scope: Scope) -> str:
    return (scope.get("client") or ("",))[0]


def _returned(headers: Mapping[bytes, bytes]) -> list[Header]:
    """What a caller finds its own request by: id and trace, as sent, and our trace.

    >>> _returned({b"x-request-id": b"r-1", b"traceparent": b"none"})
    [(b'x-request-id', b'r-1')]
    """
    own = [
        (name, headers[name])
        for name, accepted in _RETURNED.items()
        if name in headers and accepted(headers[name].decode("latin-1"))
    ]
    span = current_span.get()
    if span is not None:
        own.append((TRACE_RESPONSE.encode(), span.context.traceparent.encode()))
    return own


def _name_problem(slug: str) -> None:
    span = current_span.get()
    if span is not None:
        span.problem = slug
