"""Reports: rules, segments, merchants and the schemes' yardsticks, in figures."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from scoring.console.backtest_pages import DAYS, OPEN, asked, told_of
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes
from scoring.core.csv_text import MEDIA_TYPE, csv_of
from scoring.errors import NotFound

PATH = "/reports"
# What can be exported: the table's name, and how a report's JSON holds its records.
TABLES = {
    "rules": lambda report: report["rules"],
    "segments": lambda report: report["segments"],
    "merchants": lambda report: (
        (report["yardsticks"] or {}).get("disputes", {}).get("merchants", [])
    ),
}


def newest(visit: Visit) -> dict[str, Any] | None:
    """The newest report that is done, with its figures; None where there is none."""
    page = visit.api.get("backtests", reports="true").json
    for each in page["items"]:
        if each["state"] == "done":
            told: dict[str, Any] = visit.api.get("backtests", each["number"]).json
            return told
    return None


def reports(visit: Visit) -> Response:
    """Every report, and the newest of them."""
    cursor = visit.query.get("cursor", "")
    page = visit.api.get("backtests", reports="true", cursor=cursor).json
    return visit.page(
        "reports.html",
        title="Reports",
        items=page["items"],
        more=page["next"],
        days=DAYS,
        **_shown(newest(visit)),
    )


def report(visit: Visit) -> Response:
    """One report, or how far it is."""
    told = told_of(visit)
    return visit.page("report.html", title=f"Report {told['number']}", **_shown(told))


def progress(visit: Visit) -> Response:
    """How far one is: a part of its page."""
    return visit.page("backtest_progress.html", **_shown(told_of(visit)))


def ask(visit: Visit) -> Response:
    """Have a report made of what is in force."""
    return asked(visit, PATH, {"report": True})


def export(visit: Visit) -> Response:
    """One of a report's tables as CSV."""
    told, table = told_of(visit), visit.path["table"]
    kept = (told["figures"] or {}).get("report")
    if kept is None or table not in TABLES:
        raise NotFound("there is no such table")
    name = f"report-{told['number']}-{table}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    content = csv_of(TABLES[table](kept))
    return Response(content, HTTPStatus.OK, headers, media_type=MEDIA_TYPE)


def _shown(told: dict[str, Any] | None) -> dict[str, Any]:
    if told is None:
        return {"told": None, "found": None, "is_open": False, "place": PATH}
    return {
        "told": told,
        "found": (told["figures"] or {}).get("report"),
        "is_open": told["state"] in OPEN,
        "place": f"{PATH}/{told['number']}",
    }


_ONE = f"{PATH}/{{number:number}}"
ROUTES: tuple[PageRoute, ...] = (
    reads(PATH, reports),
    writes(PATH, ask, PageRight.BACKTEST),
    reads(_ONE, report),
    reads(f"{_ONE}/progress", progress),
    reads(f"{_ONE}/{{table}}.csv", export),
)
