"""Backtests over HTTP: asked for, followed, cancelled, and their figures."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import Field

from scoring.control.api.plane import Cursor, Limit, Visiting, cursor_at, place_of
from scoring.control.api.requests import StrictRoute
from scoring.control.api.views import Page, View
from scoring.control.api.wishes import Number, PolicyYaml, ReasonsYaml, Why, Wish
from scoring.control.desks.backtest_desk import BacktestWish, ToldBacktest
from scoring.control.desks.backtest_figures import digest_of
from scoring.control.domain.backtest_jobs import OPEN, BacktestScope, JobState

router = APIRouter(prefix="/v1", tags=["backtests"], route_class=StrictRoute)
NUMBER_MAX = 2**53
_RETRY_S = "1"  # how often progress is worth asking for
_RULE_CHARACTERS_MAX = 100_000
BacktestNumber = Annotated[int, Path(ge=1, le=NUMBER_MAX)]


class AskWish(Wish):
    """A backtest to be run: of one of `policy`, `text`, `rule` and `report`."""

    policy: Annotated[Number | None, Field(description="A version's number.")] = None
    text: PolicyYaml | None = None
    reasons: ReasonsYaml = None
    rule: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=_RULE_CHARACTERS_MAX,
            description="A rule as YAML, added to the old version.",
        ),
    ] = None
    report: Annotated[
        bool, Field(description="Report on the old version itself: rules, models.")
    ] = False
    against: Annotated[
        Number | None, Field(description="The old version's number; null: in force.")
    ] = None
    days: Annotated[
        int, Field(ge=1, le=3_650, description="How many of the last days.")
    ] = 90
    label_delay_days: Annotated[
        int | None,
        Field(
            ge=0,
            le=3_650,
            description="When a label is usually known; null: 95 % of frauds' were.",
        ),
    ] = None
    tenant: Annotated[
        str, Field(max_length=64, description="Payments of this one; empty: of all.")
    ] = ""
    rolled_out: Annotated[
        bool,
        Field(description="Rules act for every payment, whatever their rollout."),
    ] = False
    lists_as_now: Annotated[
        bool,
        Field(description="Managed lists as now, not as of each payment's time."),
    ] = False
    why: Why = ""


class ScopeView(View):
    """Which payments are judged, and how."""

    days: int
    label_delay_days: int | None
    tenant: str
    rolled_out: bool
    lists_as_now: bool


class BacktestView(View):
    """A backtest; `done` is the share of its `stage`, `ahead` how many run before it.

    A `report` judges a version against itself: its figures also have `report` and
    `models`.

    `figures` only where it alone was asked for, once it is done: the JSON that
    `scoring policy backtest --json` prints. `computed_by` says who worked them out.
    """

    number: int
    report: bool
    state: JobState
    stage: str
    done: float
    ahead: int
    failed: str
    version: str
    against: str
    policy: int | None
    against_policy: int | None
    scope: ScopeView | None
    by: str
    why: str
    asked_at_ms: int
    started_at_ms: int | None
    ended_at_ms: int | None
    computed_by: str
    figures_sha256: str
    figures: Any

    @classmethod
    def of(cls, told: ToldBacktest) -> BacktestView:
        """As the desk tells it."""
        figures = told.figures
        own: dict[str, Any] = {
            "number": told.number,
            "report": told.job is not None and told.job.is_report,
            "ahead": told.ahead,
            "computed_by": figures.told if figures else "",
            "figures_sha256": digest_of(figures) if figures else "",
            "figures": dict(figures.figures) if figures else None,
        }
        return cls(**own, **(_of_job(told) if told.job else _brought(told)))


def _of_job(told: ToldBacktest) -> dict[str, Any]:
    job = told.job
    assert job is not None
    scope = {name: getattr(job.scope, name) for name in ScopeView.model_fields}
    named = ("state", "stage", "done", "failed", "by", "why")
    return {name: getattr(job, name) for name in named} | {
        "version": job.new.version,
        "against": job.old.version,
        "policy": None if job.new.rule else job.new.policy,
        "against_policy": job.old.policy,
        "scope": ScopeView(**scope),
        "asked_at_ms": job.at_ms,
        "started_at_ms": job.started_at_ms,
        "ended_at_ms": job.ended_at_ms,
    }


def _brought(told: ToldBacktest) -> dict[str, Any]:
    figures = told.figures
    assert figures is not None
    return {
        "state": JobState.DONE,
        "stage": "",
        "done": 1.0,
        "failed": "",
        "version": figures.version,
        "against": figures.against,
        "policy": None,
        "against_policy": None,
        "scope": None,
        "by": figures.by,
        "why": "",
        "asked_at_ms": figures.at_ms,
        "started_at_ms": None,
        "ended_at_ms": figures.at_ms,
    }


@router.get("/backtests", operation_id="listBacktests")
def list_backtests(
    by: Visiting,
    version: Annotated[
        str, Query(pattern="^([0-9a-f]{16})?$", description="Of this version alone.")
    ] = "",
    reports: Annotated[
        bool | None, Query(description="True: reports alone. False: none of them.")
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Page[BacktestView]:
    """List what the control plane runs or ran, the newest first."""
    found = by.backtests.listed(
        by.person,
        version=version,
        reports=reports,
        below=place_of(cursor),
        count_max=limit + 1,
    )
    more = cursor_at(found[limit - 1].number) if len(found) > limit else None
    return Page(items=[BacktestView.of(each) for each in found[:limit]], next=more)


@router.post("/backtests", operation_id="askBacktest", status_code=HTTPStatus.ACCEPTED)
def ask_backtest(by: Visiting, wish: AskWish, response: Response) -> BacktestView:
    """Put a backtest in the queue: one runs at a time."""
    scope = BacktestScope(
        **{name: getattr(wish, name) for name in BacktestScope.__slots__}
    )
    asked = BacktestWish(
        policy=wish.policy,
        text=wish.text or "",
        reasons=wish.reasons,
        rule=wish.rule or "",
        report=wish.report,
        against=wish.against,
        scope=scope,
    )
    told = by.backtests.ask(by.because(wish.why), asked)
    by.plane.committed()
    response.headers["location"] = f"/v1/backtests/{told.number}"
    _say_when(response, told)
    return BacktestView.of(told)


@router.get(
    "/backtests/{number}",
    operation_id="getBacktest",
    response_model=BacktestView,
    responses={304: {"description": "It is as `If-None-Match` says."}},
)
def get_backtest(
    by: Visiting,
    number: BacktestNumber,
    response: Response,
    if_none_match: Annotated[
        str, Header(max_length=100, description="The `ETag` that was read.")
    ] = "",
) -> BacktestView | Response:
    """Get how far a backtest is, and its figures once it is done."""
    told = by.backtests.told(by.person, number)
    _say_when(response, told)
    if if_none_match == response.headers["etag"]:
        return Response(None, HTTPStatus.NOT_MODIFIED, dict(response.headers))
    return BacktestView.of(told)


@router.delete("/backtests/{number}", operation_id="cancelBacktest")
def cancel_backtest(
    by: Visiting, number: BacktestNumber, response: Response
) -> BacktestView:
    """Cancel a backtest that waits or runs."""
    told = by.backtests.cancel(by.because(""), number)
    by.plane.committed()
    _say_when(response, told)
    return BacktestView.of(told)


def _say_when(response: Response, told: ToldBacktest) -> None:
    """The entity tag, and when to ask again where more is to come."""
    job = told.job
    if job is None:
        response.headers["etag"] = f'"{told.number}.brought"'
        return
    place = f"{job.stage}.{job.done:.4f}.{told.ahead}"
    response.headers["etag"] = f'"{told.number}.{job.state}.{place}"'
    if job.state in OPEN:
        response.headers["retry-after"] = _RETRY_S
