"""A backtest that a control plane runs: asked for, followed, cancelled by Ctrl-C."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scoring.errors import BadArtifact

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi

_LOOK_S = 0.5
_CANCELLED = 130  # as a shell has it of SIGINT
_OPEN = {"queued", "running"}


def run_there(
    target: tuple[str, Path | None], body: Mapping[str, Any], *, as_json: bool
) -> dict[str, Any]:
    """Run it at a control plane (its URL, the token's file), print, give the figures.

    Raises `BadArtifact` where it failed; Ctrl-C cancels it and ends with status 130.
    """
    from scoring.cli.options.control import control_at
    from scoring.replay.sheet import show

    control, token_file = target
    with control_at(control, "", token_file) as api:
        told = api.post("backtests", body=body).json
        number = told["number"]
        try:
            told = _followed(api, told)
        except KeyboardInterrupt:
            api.delete("backtests", number)
            typer.echo(f"backtest {number} is cancelled", err=True)
            raise typer.Exit(_CANCELLED) from None
    if told["state"] != "done":
        why = told["failed"] or "somebody cancelled it"
        raise BadArtifact(f"backtest {number} is {told['state']}: {why}")
    figures: dict[str, Any] = told["figures"]
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
        return figures
    from scoring.cli.plane.figures_page import figures_remarks, figures_sheets

    show(figures_sheets(figures))
    for line in (*figures_remarks(figures), f"backtest {number}, kept there"):
        typer.echo(line)
    return figures


def _followed(api: ControlApi, told: dict[str, Any]) -> dict[str, Any]:
    """Wait for its end, with a progress bar."""
    from scoring.training.progress import bar

    with bar(transient=True) as report:
        while told["state"] in _OPEN:
            if told["state"] == "queued":
                report(f"waiting, {told['ahead']} before it", 0.0)
            elif told["stage"]:
                report(told["stage"], told["done"])
            time.sleep(_LOOK_S)
            told = api.get("backtests", told["number"]).json
    return told
