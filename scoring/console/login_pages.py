"""Logging in with a token of the control plane, and out again."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from scoring.client.control_plane import Refused
from scoring.console.edge import local_path
from scoring.console.visit import LOGIN, PageRoute, Visit
from scoring.errors import Unavailable

COOKIE = "scoring_console"
_TOKEN_CHARACTERS_MAX = 8_192


def ask(visit: Visit) -> Response:
    """The form; a browser that has no id is given one, which is nobody's."""
    wanted = local_path(visit.query.get("next", "/"))
    return _form(visit, wanted=wanted)


def log_in(visit: Visit) -> Response:
    """Ask the control plane whose token it is, and begin a session of a new id."""
    token = visit.form.get("token", "").strip()
    wanted = local_path(visit.form.get("next", "/"))
    if not token or len(token) > _TOKEN_CHARACTERS_MAX or not token.isascii():
        return _form(visit, wanted=wanted, problem="write your token")
    if not token.isprintable() or " " in token:
        return _form(visit, wanted=wanted, problem="a token has no blanks")
    try:
        me = visit.desk.control(token).get("me").json
    except (Refused, Unavailable) as error:
        return _form(visit, wanted=wanted, problem=str(error))
    if not me or not me.get("name"):
        told = "the control plane names nobody; is one at SCORING_CONTROL_URL?"
        return _form(visit, wanted=wanted, problem=told)
    visit.desk.sessions.end(visit.session_id)
    response = visit.to(wanted)
    _keep(visit, response, visit.desk.sessions.begin(token))
    return response


def log_out(visit: Visit) -> Response:
    """End the session."""
    visit.desk.sessions.end(visit.session_id)
    visit.session = None
    response = visit.to(LOGIN)
    response.delete_cookie(COOKIE, path="/")
    return response


def _form(visit: Visit, *, wanted: str, problem: str = "") -> Response:
    fresh = not visit.session_id
    if fresh:
        visit.session_id = visit.desk.sessions.stranger()
    status = HTTPStatus.FORBIDDEN if problem else HTTPStatus.OK
    response = visit.page("login.html", status=status, wanted=wanted, problem=problem)
    if fresh:
        _keep(visit, response, visit.session_id)
    return response


def _keep(visit: Visit, response: Response, session_id: str) -> None:
    response.set_cookie(
        COOKIE,
        session_id,
        path="/",
        secure=visit.desk.secured,
        httponly=True,
        samesite="strict",
    )


ROUTES = (
    PageRoute("GET", LOGIN, frozenset(), ask),
    PageRoute("POST", LOGIN, frozenset(), log_in),
    PageRoute("POST", "/logout", frozenset(), log_out),
)
