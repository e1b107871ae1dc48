"""One version judged by itself over decided payments, for reports and thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scoring.backtest.result import BacktestResult
    from scoring.backtest.run import BacktestOptions
    from scoring.backtest.source import PaidSource
    from scoring.core.csv_text import Record
    from scoring.core.policy.policy import Policy

_NOT_RELEASED = (
    "this judges the settings' version, which a release of the control plane may have "
    "replaced: for that one, `scoring policy text NUMBER > FILE` and --policy FILE"
)


@dataclass(frozen=True, slots=True)
class Paid:
    """Where decided payments and managed lists are, as a command line names them."""

    archive: Path | None
    decisions: Path | None
    database: str


@dataclass(frozen=True, slots=True)
class JudgedVersion:
    """A version, the payments that it was judged on, and what was found."""

    policy: Policy
    source: PaidSource
    found: BacktestResult


def judged_version(named: str, paid: Paid, options: BacktestOptions) -> JudgedVersion:
    """Judge a version by itself; raises `BadArtifact`."""
    from scoring.cli.plane.policy_backtest import LIVE, Judge, source, version
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    if named == LIVE and settings.policy_from == "control":
        typer.echo(_NOT_RELEASED, err=True)
    catalogue = catalogue_from(settings)
    asked = version(settings, catalogue, named)
    chosen = source(settings, catalogue, paid.archive, paid.decisions)
    judge = Judge(settings, chosen, options, database=paid.database)
    return JudgedVersion(asked, chosen, judge(asked, asked))


def write_tables(directory: Path, tables: Mapping[str, Sequence[Record]]) -> None:
    """Each table as a CSV file of its name; says so. Raises `BadArtifact`."""
    from scoring.core.csv_text import csv_of
    from scoring.errors import BadArtifact

    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, records in tables.items():
            path = directory / f"{name}.csv"
            path.write_bytes(csv_of(records))
            typer.echo(f"{path}: {len(records):,} rows", err=True)
    except OSError as error:
        raise BadArtifact(
            f"--csv: {directory}: cannot be written: {error.strerror}"
        ) from error
