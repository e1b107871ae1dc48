"""A request to a page: who sends it, what it carries, and what pages answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scoring.client.control_plane import ControlApi
from scoring.console.assets import Asset
from scoring.console.live import LiveFeed
from scoring.console.pages import Pages
from scoring.console.sessions import LoginSession, Sessions
from scoring.core.transaction.transaction import Transaction
from scoring.errors import ScoringError
from scoring.v1.decision_pb2 import Decision
from scoring.v1.fraud_scoring_pb2 import ExplainDecisionResponse, GetDecisionResponse

LOGIN = "/login"


def wall_clock_ms() -> int:
    """Now, for what people say of the days to come."""
    return time.time_ns() // 1_000_000


class _Number(IntegerConvertor):
    """A number in a path; what is longer than any of ours leads nowhere."""

    regex = "[0-9]{1,15}"


register_url_convertor("number", _Number())


class PageRight(StrEnum):
    """What a role must allow, in the words of the control plane."""

    READ = "read"
    WORK_CASES = "work on cases"
    CHANGE_LISTS = "change lists"
    BACKTEST = "run a backtest"
    WRITE_POLICY = "write policies"
    APPROVE = "approve or reject policies"
    RELEASE = "release an approved policy"
    ROLL_BACK = "roll back, stop or re-arm"


class DecidedPayments(Protocol):
    """Recorded decisions, as the service's own client finds them."""

    def decision_of(self, tenant: str, transaction_id: str) -> GetDecisionResponse:
        """One, with what became known since; raises `ScoringError`."""
        ...

    def explanation_of(
        self, tenant: str, transaction_id: str
    ) -> ExplainDecisionResponse:
        """What each feature added to its score; raises `ScoringError`."""
        ...

    def asked_again(
        self, payments: Sequence[Transaction]
    ) -> list[Decision | ScoringError]:
        """What would be decided of each; nothing is changed or kept by it."""
        ...


class VectorNames(Protocol):
    """Names of a vector's features, and of which definitions they are."""

    def names_of(self, decision: Decision) -> list[str] | None:
        """In the order of the vector; None where it is of other definitions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What pages are made from.

    `control` is the control plane as the holder of a token reaches it. `secured`:
    browsers reach us by TLS.
    """

    control: Callable[[str], ControlApi]
    payments: DecidedPayments
    live: LiveFeed
    names: VectorNames
    sessions: Sessions
    assets: Mapping[str, Asset]
    pages: Pages
    secured: bool = False
    now_ms: Callable[[], int] = wall_clock_ms


@dataclass(slots=True)
class Visit:
    """A request by somebody who is known; `me` is what the control plane says of them.

    Of a stranger there is neither `session` nor `me`.
    """

    desk: Desk
    request: Request
    session_id: str
    form: Mapping[str, str] = field(default_factory=dict)
    session: LoginSession | None = None
    me: Mapping[str, Any] = field(default_factory=dict)

    @property
    def api(self) -> ControlApi:
        """The control plane as this person reaches it."""
        return self.desk.control(self.session.token if self.session else "")

    @property
    def path(self) -> Mapping[str, str]:
        """What the path names."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """What stands behind the question mark."""
        return self.request.query_params

    @property
    def is_partial(self) -> bool:
        """Whether a part of a page was asked for, to be put into one."""
        return "hx-request" in self.request.headers

    def may(self, needs: str) -> bool:
        """Whether this person's roles allow something."""
        return needs in self.me.get("rights", ())

    def page(
        self, template: str, *, status: int = HTTPStatus.OK, **values: Any
    ) -> Response:
        """A page, or a part of one, as HTML."""
        notice = ""
        if self.session is not None and not self.is_partial:
            notice, self.session.notice = self.session.notice, ""
        shown = {
            "visit": self,
            "notice": notice,
            "form_token": self.desk.sessions.form_token(self.session_id),
            **values,
        }
        content = self.desk.pages.rendered(template, shown)
        return Response(content, status, media_type="text/html")

    def to(self, path: str, notice: str = "") -> Response:
        """On to another of our pages, which says a notice."""
        if self.session is not None:
            self.session.notice = notice
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


@dataclass(frozen=True, slots=True)
class PageRoute:
    """What answers a method and path, and what one of the roles must allow.

    `needs` is empty for what a stranger may ask. `answer` blocks, and runs in a thread.
    """

    method: str
    path: str
    needs: frozenset[PageRight]
    answer: Callable[[Visit], Response]


def reads(path: str, answer: Callable[[Visit], Response]) -> PageRoute:
    """A page that everybody with a role reads."""
    return PageRoute("GET", path, frozenset({PageRight.READ}), answer)


def writes(
    path: str, answer: Callable[[Visit], Response], *needs: PageRight
) -> PageRoute:
    """Something that is done by a form, by whoever has one of these rights."""
    return PageRoute("POST", path, frozenset(needs), answer)
