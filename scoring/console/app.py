"""The console's ASGI application: who is let in, and to which page."""

from __future__ import annotations

import logging
import time
from asyncio import to_thread
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from scoring.client.control_plane import Refused
from scoring.console import (
    case_pages,
    decision_pages,
    health_pages,
    list_pages,
    live_pages,
    login_pages,
    policy_acts,
    policy_editor,
    policy_pages,
)
from scoring.console.edge import (
    HEADERS,
    NO_STORE,
    SECURED,
    form_of,
    refuse_other_sites,
    status_of,
)
from scoring.console.live_pages import STREAM_PATH, stream
from scoring.console.visit import LOGIN, Desk, PageRoute, Visit
from scoring.errors import Denied, NotFound, ScoringError, Unavailable

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
HEALTH_PATH = "/healthz"
_CROSS_SITE = b"""<!doctype html><html lang="en"><title>Opening</title>
<meta http-equiv="refresh" content="0"></html>"""

# Every page, what it is asked with, and which right it needs: tests walk it.
ROUTES: tuple[PageRoute, ...] = (
    *login_pages.ROUTES,
    *live_pages.ROUTES,
    *decision_pages.ROUTES,
    *policy_pages.ROUTES,
    *policy_editor.ROUTES,
    *policy_acts.ROUTES,
    *list_pages.ROUTES,
    *case_pages.ROUTES,
    *health_pages.ROUTES,
)


@dataclass(slots=True)
class ConsoleApp:
    """The pages as the HTTP server serves them."""

    desk: Desk
    pages: Callable[[Scope, Receive, Send], Awaitable[None]]
    monotonic: Callable[[], float] = time.monotonic
    ready: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.pages(scope, receive, send)


def console_app(desk: Desk) -> ConsoleApp:
    """The pages of a desk."""
    app = ConsoleApp(desk, _nothing)
    doors = _Doors(desk)

    async def health(_request: Request) -> Response:
        status = HTTPStatus.OK if app.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": app.ready, "live": not desk.live.fault}, status)

    routes = [
        Route(HEALTH_PATH, health),
        Route("/static/{tag}/{name}", doors.asset),
        Route(STREAM_PATH, doors.stream),
    ]
    by_path: dict[str, dict[str, PageRoute]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    routes += [
        Route(path, doors.page(answers), methods=[*answers])
        for path, answers in by_path.items()
    ]
    app.pages = Starlette(
        routes=routes, exception_handlers={HTTPException: doors.no_page}
    )
    return app


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Nothing yet."""


class _Doors:
    """Finds out who comes, and answers whatever is raised with a page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        secured = SECURED if desk.secured else {}
        self._headers = {**HEADERS, **secured}

    # What needs no session ------------------------------------------------------

    async def asset(self, request: Request) -> Response:
        """A file that pages load."""
        found = self._desk.assets.get(request.path_params["name"])
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        response = Response(found.content, media_type=found.kind)
        # Its path changes with its content.
        return self._with_headers(
            response, {"cache-control": "public, max-age=31536000, immutable"}
        )

    async def no_page(self, request: Request, error: Exception) -> Response:
        """A path or a method that is not there."""
        assert isinstance(error, HTTPException)
        visit = Visit(self._desk, request, _session_id(request))
        told = HTTPStatus(error.status_code).phrase.lower()
        return self._with_headers(_refusal(visit, error.status_code, told), NO_STORE)

    # Pages ----------------------------------------------------------------------

    def page(
        self, answers: dict[str, PageRoute]
    ) -> Callable[[Request], Awaitable[Response]]:
        """What answers a path, by method."""

        async def answered(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            route = answers[method]
            visit = Visit(self._desk, request, _session_id(request))
            try:
                if method == "POST":
                    visit.form = await self._form(visit)
                response = await to_thread(self._answered, route, visit)
            except Exception as error:  # noqa: BLE001 - the edge: all becomes a page
                response = _page_of(visit, error)
            return self._with_headers(response, NO_STORE)

        return answered

    async def stream(self, request: Request) -> Response:
        """The live stream, for as long as its viewer stays."""
        visit = Visit(self._desk, request, _session_id(request))
        try:
            refused = await to_thread(self._known, visit, live_pages.NEEDED)
            response = stream(visit) if refused is None else refused
        except Exception as error:  # noqa: BLE001 - the edge: all becomes a page
            response = _page_of(visit, error)
        return self._with_headers(response, NO_STORE)

    async def _form(self, visit: Visit) -> dict[str, str]:
        refuse_other_sites(visit.request)
        form = await form_of(visit.request)
        sent = form.pop("form_token", "")
        if not self._desk.sessions.is_form_token(visit.session_id, sent):
            raise Denied("this form is too old; open the page again, and send it anew")
        return form

    def _answered(self, route: PageRoute, visit: Visit) -> Response:
        if not route.needs:
            visit.session = self._desk.sessions.of(visit.session_id)
            return route.answer(visit)
        refused = self._known(visit, route.needs)
        return route.answer(visit) if refused is None else refused

    def _known(self, visit: Visit, needs: frozenset[Any]) -> Response | None:
        """Ask the control plane who this is; what to answer to a stranger.

        At each request: what somebody may no longer do ends at once.
        """
        visit.session = self._desk.sessions.of(visit.session_id)
        if visit.session is None:
            return _to_login(visit)
        try:
            visit.me = visit.api.get("me").json
        except Refused as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                raise
            self._desk.sessions.end(visit.session_id)
            visit.session = None
            return _to_login(visit)
        if not any(visit.may(each) for each in needs):
            named = " or ".join(sorted(needs))
            raise Denied(f"your roles do not allow to {named}; ask an admin for one")
        return None

    def _with_headers(self, response: Response, more: dict[str, str]) -> Response:
        for name, value in {**self._headers, **more}.items():
            response.headers.setdefault(name, value)
        return response


def _session_id(request: Request) -> str:
    return request.cookies.get(login_pages.COOKIE, "")


def _to_login(visit: Visit) -> Response:
    """Where a stranger is sent, to come back to what they wanted."""
    request = visit.request
    if visit.is_partial:
        # Nothing of a login belongs into a page: our script loads that anew.
        return Response(status_code=HTTPStatus.UNAUTHORIZED)
    if request.headers.get("sec-fetch-site") == "cross-site" and not visit.session_id:
        # Followed from a ticket, a link comes without our cookie; a page of ours that
        # loads itself again comes with it.
        return Response(_CROSS_SITE, media_type="text/html")
    wanted = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        wanted += f"?{request.url.query}"
    return RedirectResponse(
        f"{LOGIN}?next={quote(wanted, safe='')}", HTTPStatus.SEE_OTHER
    )


def _page_of(visit: Visit, error: Exception) -> Response:
    """A refusal as a page."""
    if isinstance(error, Refused):
        return _refusal(visit, error.status, str(error))
    if isinstance(error, NotFound):
        return _refusal(visit, HTTPStatus.NOT_FOUND, str(error))
    if isinstance(error, Unavailable):
        return _refusal(visit, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    if isinstance(error, ScoringError):
        return _refusal(visit, status_of(error), str(error))
    log.error("a page failed; the request was not carried out", exc_info=error)
    told = "the page failed; the console's log says where"
    return _refusal(visit, HTTPStatus.INTERNAL_SERVER_ERROR, told)


def _refusal(visit: Visit, status: int, told: str) -> Response:
    return visit.page(
        "refusal.html",
        status=status,
        title=HTTPStatus(status).phrase,
        lines=told.splitlines(),
    )
