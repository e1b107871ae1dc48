"""The console's ASGI application: who is let in, and to which page."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from traceback import extract_tb
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from scoring.client.control_plane import Refused
from scoring.console import (
    backtest_pages,
    case_pages,
    health_pages,
    live_pages,
    login_pages,
    model_pages,
    policy_acts,
    policy_editor,
    policy_pages,
    policy_rules,
    report_pages,
    threshold_pages,
)
from scoring.console.edge import (
    FORM_BYTES_MAX,
    HEADERS,
    NO_STORE,
    SECURED,
    STRANGERS_FORM_BYTES_MAX,
    form_of,
    refuse_other_sites,
    status_of,
)
from scoring.console.lists import import_pages, list_pages
from scoring.console.live_pages import STREAM_PATH, stream
from scoring.console.payments import decision_pages, link_pages, what_if_pages
from scoring.console.sessions import LoginSession
from scoring.console.visit import LOGIN, Desk, PageRoute, Visit
from scoring.errors import Denied, NotFound, ScoringError, Unavailable

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")
# Each waits for the control plane at most some seconds; the last of all that wait, for
# those before it in its thread.
_THREADS = 32
WAITING_MAX = 128
_FAILED = "the page failed; the console's log says where"
HEALTH_PATH = "/healthz"
_CROSS_SITE = b"""<!doctype html><html lang="en"><title>Opening</title>
<meta http-equiv="refresh" content="0"></html>"""

# Every page, what it is asked with, and which right it needs: tests walk it.
ROUTES: tuple[PageRoute, ...] = (
    *login_pages.ROUTES,
    *live_pages.ROUTES,
    *decision_pages.ROUTES,
    *link_pages.ROUTES,
    *what_if_pages.ROUTES,
    *policy_pages.ROUTES,
    *policy_editor.ROUTES,
    *policy_acts.ROUTES,
    *policy_rules.ROUTES,
    *backtest_pages.ROUTES,
    *threshold_pages.ROUTES,
    *report_pages.ROUTES,
    *model_pages.ROUTES,
    *list_pages.ROUTES,
    *import_pages.ROUTES,
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
        routes=routes,
        exception_handlers={HTTPException: doors.no_page, Exception: doors.failed},
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
        self._threads = ThreadPoolExecutor(_THREADS, "page")
        self._waiting = 0

    # What needs no session ------------------------------------------------------

    async def asset(self, request: Request) -> Response:
        """A file that pages load."""
        found = self._desk.assets.get(request.path_params["name"])
        if found is None or found.tag != request.path_params["tag"]:
            # Of another release, under the wrong name for good in every cache.
            raise HTTPException(HTTPStatus.NOT_FOUND)
        response = Response(found.content, media_type=found.kind)
        # Its path changes with its content.
        return self._with_headers(
            response, {"cache-control": "public, max-age=31536000, immutable"}
        )

    async def failed(self, _request: Request, error: Exception) -> Response:
        """What failed before there was a page to say so, or while it was made."""
        _log_failure(error)
        response = PlainTextResponse(_FAILED + "\n", HTTPStatus.INTERNAL_SERVER_ERROR)
        return self._with_headers(response, NO_STORE)

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
                response = await self._response(method, route, visit)
            except Exception as error:  # noqa: BLE001 - the edge: all becomes a page
                response = _page_of(visit, error)
            return self._with_headers(response, NO_STORE)

        return answered

    async def _response(self, method: str, route: PageRoute, visit: Visit) -> Response:
        if method == "POST":
            refuse_other_sites(visit.request)
            if route.path != LOGIN and self._session_of(visit) is None:
                return _to_login(visit)  # before a stranger's form is read
            visit.form = await self._form(route, visit)
        elif not route.needs:  # asks nobody, so that nothing holds it up
            return self._answered(route, visit)
        return await self._waited(self._answered, route, visit)

    async def _waited(self, answer: Callable[..., T], *given: Any) -> T:
        """Have what asks others run in a thread; raises `Unavailable` for too many."""
        if self._waiting >= WAITING_MAX:
            raise Unavailable(
                f"{WAITING_MAX} requests wait for answers of the control plane and the "
                "service; is one of them slow? Try again in a moment"
            )
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, answer, *given)
        finally:
            self._waiting -= 1

    async def stream(self, request: Request) -> Response:
        """The live stream, for as long as its viewer stays."""
        visit = Visit(self._desk, request, _session_id(request))
        try:
            refused = await self._waited(self._known, visit, live_pages.NEEDED)
            response = stream(visit) if refused is None else refused
        except Exception as error:  # noqa: BLE001 - the edge: all becomes a page
            response = _page_of(visit, error)
        return self._with_headers(response, NO_STORE)

    async def _form(self, route: PageRoute, visit: Visit) -> dict[str, str]:
        known = FORM_BYTES_MAX if route.needs else STRANGERS_FORM_BYTES_MAX
        form = await form_of(visit.request, known)
        sent = form.pop("form_token", "")
        if not self._desk.sessions.is_form_token(visit.session_id, sent):
            raise Denied("this form is too old; open the page again, and send it anew")
        return form

    def _session_of(self, visit: Visit) -> LoginSession | None:
        visit.session = self._desk.sessions.of(visit.session_id)
        return visit.session

    def _answered(self, route: PageRoute, visit: Visit) -> Response:
        if not route.needs:
            self._session_of(visit)
            return route.answer(visit)
        refused = self._known(visit, route.needs)
        return route.answer(visit) if refused is None else refused

    def _known(self, visit: Visit, needs: frozenset[Any]) -> Response | None:
        """Ask the control plane who this is; what to answer to a stranger.

        At each request: what somebody may no longer do ends at once.
        """
        if self._session_of(visit) is None:
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
    _log_failure(error)
    return _refusal(visit, HTTPStatus.INTERNAL_SERVER_ERROR, _FAILED)


def _log_failure(error: Exception) -> None:
    place = extract_tb(error.__traceback__)[-1]
    repeats = f"{type(error).__name__} at {place.filename}:{place.lineno}"
    told = "a page failed; the request may not have been carried out"
    log.error(told, exc_info=error, extra={"repeats": repeats})


def _refusal(visit: Visit, status: int, told: str) -> Response:
    return visit.page(
        "refusal.html",
        status=status,
        title=HTTPStatus(status).phrase,
        lines=told.splitlines(),
    )
