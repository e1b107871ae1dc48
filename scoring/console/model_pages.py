"""Models: what the registry holds, how each does, and which of them decides."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from scoring.client.control_plane import Refused
from scoring.console.charts import Line, line_chart
from scoring.console.report_pages import newest
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes

PATH = "/models"
_METRICS = ("auc", "average_precision", "card_precision_100", "ece")


def models(visit: Visit) -> Response:
    """Every model, what is proposed, and how those that decided did."""
    registry, fault = _registry(visit)
    proposals = visit.api.get("model-proposals").json["items"]
    told = newest(visit)
    figures = (told["figures"].get("models") if told else None) or {"models": []}
    return visit.page(
        "models.html",
        title="Models",
        registry=registry,
        fault=fault,
        metrics=_METRICS,
        proposals=proposals,
        proposed={each["model"] for each in proposals if each["stage"] == "open"},
        told=told,
        figures=figures,
        charts=[_charts(each) for each in figures["models"]],
    )


def propose(visit: Visit) -> Response:
    """Propose a model as the champion."""
    model, body = visit.form.get("model", ""), {"why": _why(visit)}
    done = visit.api.post("models", model, "proposals", body=body).json
    return visit.to(PATH, f"Model {model} is proposed; proposal {done['number']}.")


def approve(visit: Visit) -> Response:
    """Approve a proposal: its model decides."""
    number, body = visit.path["number"], {"why": _why(visit)}
    done = visit.api.post("model-proposals", number, "approval", body=body).json
    return visit.to(PATH, f"Model {done['model']} decides within seconds.")


def reject(visit: Visit) -> Response:
    """Reject a proposal, or withdraw one's own."""
    number, body = visit.path["number"], {"why": _why(visit)}
    visit.api.post("model-proposals", number, "rejection", body=body)
    return visit.to(PATH, f"Proposal {number} is rejected.")


def roll_back(visit: Visit) -> Response:
    """Let the champion before this one decide again."""
    body = {"champion": visit.form.get("champion", ""), "why": _why(visit)}
    done = visit.api.post("models", "rollback", body=body).json
    return visit.to(PATH, f"Model {done['champion']} decides again within seconds.")


def _why(visit: Visit) -> str:
    return visit.form.get("why", "").strip()


def _registry(visit: Visit) -> tuple[dict[str, Any], str]:
    """The registry, and why it cannot be read where that is so."""
    try:
        found: dict[str, Any] = visit.api.get("models").json
    except Refused as error:
        empty = {"place": "", "champion": "", "history": [], "items": []}
        return empty, str(error)
    return found, ""


def _charts(model: dict[str, Any]) -> dict[str, Any]:
    """A model's figures with its two curves."""
    calibration = [(one["score"], one["fraud"]) for one in model["calibration"]]
    top = max((max(point) for point in calibration), default=0.0) or 1.0
    curve = [(one["recall"], one["precision"]) for one in model["precision_recall"]]
    observed = [Line("Observed", calibration), Line("Exact", [(0.0, 0.0), (top, top)])]
    return {
        **model,
        "calibrated": line_chart(observed, x_max=top, y_max=top),
        "ranked": line_chart([Line("Precision", curve)], y_max=1.0),
        "widest": max((abs(x - y) for x, y in calibration), default=None),
    }


_ONE = "/models/proposals/{number:number}"
ROUTES: tuple[PageRoute, ...] = (
    reads(PATH, models),
    writes("/models/propose", propose, PageRight.WRITE_POLICY),
    writes("/models/rollback", roll_back, PageRight.ROLL_BACK),
    writes(f"{_ONE}/approve", approve, PageRight.APPROVE),
    writes(f"{_ONE}/reject", reject, PageRight.APPROVE, PageRight.WRITE_POLICY),
)
