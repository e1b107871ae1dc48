"""Live: decisions as they fall, and how the service is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from scoring.client.control_plane import Refused
from scoring.console.charts import score_histogram
from scoring.console.edge import whole_number
from scoring.console.live import OUTCOMES, LiveFeed, LiveRow
from scoring.console.pages import Pages
from scoring.console.visit import PageRight, PageRoute, Visit, reads
from scoring.console.words import word_in
from scoring.core.decision.decision import Outcome
from scoring.errors import InvalidTransaction
from scoring.kafka.tail import SEGMENTS, TailFilter
from scoring.v1 import decision_pb2 as decisions

STREAM_PATH = "/live/stream"
NEEDED = frozenset({PageRight.READ})
# Then a viewer comes again, and whether they still may is asked.
_STREAM_TICKS_MAX = 600
_AMOUNT_MAX = 1e12
_TEXT_CHARACTERS_MAX = 256
_NOT_FOUND = 404


def live(visit: Visit) -> Response:
    """The page, with what there is already."""
    feed, wanted = visit.desk.live, _wanted(visit.query)
    newest = feed.newest
    asked = {name: value for name, value in visit.query.items() if value}
    return visit.page(
        "live.html",
        title="Live",
        rows=_html(visit.desk.pages, feed.since(0, wanted)),
        figures=feed.figures_html or rendered_figures(visit.desk.pages, feed),
        stream=f"{STREAM_PATH}?{urlencode({**asked, 'after': newest})}",
        again=f"/live/rows?{urlencode(asked)}",
        outcomes=OUTCOMES,
        segments=list(SEGMENTS),
        asked=asked,
        **_state(visit),
    )


def rows(visit: Visit) -> Response:
    """The newest rows, after a pause."""
    found = visit.desk.live.since(0, _wanted(visit.query))
    return visit.page("live_rows.html", rows=_html(visit.desk.pages, found))


def state(visit: Visit) -> Response:
    """Release and breaker, which change seldom."""
    return visit.page("live_state.html", **_state(visit))


def _state(visit: Visit) -> dict[str, Any]:
    try:
        release = visit.api.get("releases", "current").json
    except Refused as error:
        if error.status != _NOT_FOUND:
            raise
        release = None
    replicas = visit.api.get("replicas").json["items"]
    return {
        "release": release,
        "replicas": replicas,
        "well": sum(each["standing"] in {"current", "behind"} for each in replicas),
        "tripped": sorted({t["rule"] for each in replicas for t in each["tripped"]}),
        "fault": visit.desk.live.fault,
    }


def _wanted(query: Mapping[str, str]) -> TailFilter:
    """Which decisions a viewer wants; raises `InvalidTransaction`."""
    outcome = query.get("outcome", "")
    if outcome and outcome not in OUTCOMES:
        raise InvalidTransaction("outcome", f"is one of {', '.join(OUTCOMES)}")
    segment = query.get("segment", "")
    if segment and segment not in SEGMENTS:
        raise InvalidTransaction("segment", f"is one of {', '.join(SEGMENTS)}")
    return TailFilter(
        outcomes=frozenset({Outcome[outcome.upper()]} if outcome else ()),
        rule=query.get("rule", "").strip()[:_TEXT_CHARACTERS_MAX],
        merchant=query.get("merchant", "").strip()[:_TEXT_CHARACTERS_MAX],
        amount_min=_amount(query.get("amount", "")),
        segment=(segment, query.get("is", "").strip()[:_TEXT_CHARACTERS_MAX]),
    )


def _amount(written: str) -> float:
    try:
        amount = float(written or 0)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= _AMOUNT_MAX:
        raise InvalidTransaction("amount", "is a number such as 100 or 99.50")
    return amount


# The stream -----------------------------------------------------------------------


def stream(visit: Visit) -> Response:
    """What comes from now on, as events."""
    query, feed = visit.query, visit.desk.live
    known = visit.request.headers.get("last-event-id", "") or query.get("after", "")
    after = whole_number("after", known) if known else feed.newest
    # After a restart of ours the numbers began anew.
    after = min(after, feed.newest)
    events = _events(visit.desk.pages, feed, _wanted(query), after)
    return StreamingResponse(events, media_type="text/event-stream")


async def _events(
    pages: Pages, feed: LiveFeed, wanted: TailFilter, after: int
) -> AsyncIterator[str]:
    yield ": begun\n\n"
    for _ in range(_STREAM_TICKS_MAX):
        await feed.ticked()
        if feed.closed:
            return
        # A viewer who reads slowly comes here late, and is given the newest alone.
        newest, found = feed.newest, feed.since(after, wanted)
        after = newest
        values = {"rows": _html(pages, found), "figures": feed.figures_html}
        yield event(pages.rendered("live_event.html", values), newest)


def event(html: str, sequence: int) -> str:
    r"""An event as it is sent: no line of a text begins another one.

    >>> event("a\rdata: b\n\nc", 7)
    'id: 7\ndata: a\ndata: data: b\ndata: \ndata: c\n\n'
    """
    lines = "".join(f"data: {line}\n" for line in html.splitlines())
    return f"id: {sequence}\n{lines}\n"


# Rendered once, for all ---------------------------------------------------------


def rendered_figures(pages: Pages, feed: LiveFeed) -> str:
    """The last minute's figures as HTML."""
    minute = feed.minute()
    values = {"minute": minute, "histogram": score_histogram(minute.scores)}
    return pages.rendered("live_figures.html", values)


def _html(pages: Pages, found: list[LiveRow]) -> str:
    """Rows as HTML, each rendered when it is first seen."""
    for row in found:
        row.html = row.html or pages.rendered("live_row.html", {"row": _row(row)})
    return "".join(row.html for row in found)


def _row(row: LiveRow) -> dict[str, Any]:
    core, payment = row.decision.core, row.decision.transaction
    notes = [
        word_in(decisions.DegradationCode, each.code) for each in core.degradations
    ]
    known = payment.HasField("amount_minor")
    return {
        "sequence": row.sequence,
        "tenant": core.tenant,
        "id": core.transaction_id,
        "at_ms": payment.occurred_at.ToMilliseconds(),
        "amount_minor": payment.amount_minor if known else None,
        "currency": payment.currency,
        "merchant": payment.merchant,
        "outcome": word_in(decisions.Outcome, core.outcome),
        "score": core.score if core.HasField("score") else None,
        "reasons": [reason.code for reason in core.reasons[:3]],
        "rules": [hit.rule for hit in core.rule_hits if not hit.unknown],
        "notes": ["provisional"] * core.provisional + notes,
    }


def home(visit: Visit) -> Response:
    """The first page is the live one."""
    return visit.to("/live")


ROUTES: tuple[PageRoute, ...] = (
    reads("/", home),
    reads("/live", live),
    reads("/live/rows", rows),
    reads("/live/state", state),
)
