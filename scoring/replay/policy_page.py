"""A report as tables: on the screen, as Markdown and as JSON, from one description."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table as Grid

from scoring.core.transaction.codes import CURRENCY_DIGITS
from scoring.replay.policy_report import Money, PolicyReport, RuleLine, Slice

_DEFAULT_DIGITS = 2
_PIPE_WIDTH = 160
_AT_LEAST = {
    "CHALLENGE": "challenged or stricter",
    "REVIEW": "reviewed or stricter",
    "DECLINE": "declined",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a report; cells are text, the first column is a name."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def policy_sheets(report: PolicyReport) -> list[Sheet]:
    """The tables of a policy report."""
    sheets = [_outcomes(report)]
    if report.labelled:
        sheets.append(_stopped(report))
    sheets += [_rules(report), _reasons(report)]
    if report.degradations:
        rows = tuple((code, f"{n:,}") for code, n in report.degradations.items())
        sheets.append(Sheet("Degradations", ("what was missing", "decisions"), rows))
    return [sheet for sheet in sheets if sheet.rows]


def _outcomes(report: PolicyReport) -> Sheet:
    parts = [*report.outcomes.items(), ("all", report.all)]
    rows = tuple(
        (
            name.lower(),
            f"{part.count:,}",
            share(part.count, report.all.count),
            f"{part.frauds:,}",
            f"{part.count - part.frauds - part.legitimate:,}",
            money(part.amounts),
            money(part.fraud_amounts),
        )
        for name, part in parts
    )
    columns = (
        *("outcome", "payments", "share", "frauds", "without a label"),
        *("amount", "fraud amount"),
    )
    return Sheet("Outcomes", columns, rows)


def _stopped(report: PolicyReport) -> Sheet:
    rows = tuple(
        (
            _AT_LEAST[name],
            f"{part.count:,}",
            f"{part.frauds:,}",
            share(part.frauds, report.all.frauds),
            percent(part.precision),
            number(part.false_positives_per_fraud),
            money(part.fraud_amounts),
            money(part.legitimate_amounts),
        )
        for name, part in report.stopped.items()
    )
    columns = (
        *("stopped", "payments", "frauds caught", "of all frauds", "precision"),
        *("false positives per fraud", "fraud amount caught"),
        "legitimate amount refused",
    )
    return Sheet("Fraud caught", columns, rows)


def _rules(report: PolicyReport) -> Sheet:
    columns = (
        *("rule", "mode", "asks for", "hits", "frauds", "precision"),
        *("false positives per fraud", "amount", "asked for more", "unknown"),
    )
    return Sheet("Rules", columns, tuple(map(_rule, report.rules)))


def _rule(line: RuleLine) -> tuple[str, ...]:
    return (
        line.rule,
        line.mode,
        line.outcome.lower(),
        f"{line.hits.count:,}",
        f"{line.hits.frauds:,}",
        percent(line.hits.precision),
        number(line.hits.false_positives_per_fraud),
        money(line.hits.amounts),
        f"{line.stricter.count:,} ({line.stricter.frauds:,} frauds)",
        f"{line.unknown:,}",
    )


def _reasons(report: PolicyReport) -> Sheet:
    rows = tuple(
        (code, f"{part.count:,}", f"{part.frauds:,}", percent(part.precision))
        for code, part in report.reasons.items()
    )
    title = "First reasons of what was not approved"
    return Sheet(title, ("reason", "payments", "frauds", "precision"), rows)


def show(sheets: Sequence[Sheet], console: Console | None = None) -> None:
    """Print tables; names are whole, other cells are wrapped where it is narrow."""
    console = console or Console()
    if not console.is_terminal:  # a file or a pipe: nothing is gained by wrapping
        console.width = max(console.width, _PIPE_WIDTH)
    for sheet in sheets:
        grid = Grid(title=sheet.title, title_justify="left")
        for i, column in enumerate(sheet.columns):
            side: Literal["left", "right"] = "right" if i else "left"
            grid.add_column(column, justify=side, overflow="fold", no_wrap=not i)
        for row in sheet.rows:
            grid.add_row(*row)
        console.print(grid, markup=False)


def markdown(title: str, sheets: Sequence[Sheet], remarks: Sequence[str] = ()) -> str:
    """Tables as a Markdown page.

    >>> print(markdown("T", [Sheet("S", ("a", "b"), (("x|y", "1"),))]), end="")
    # T
    <BLANKLINE>
    ## S
    <BLANKLINE>
    | a | b |
    |---|--:|
    | x\\|y | 1 |
    """
    lines = [f"# {title}", ""]
    for remark in remarks:
        lines += [remark, ""]
    for sheet in sheets:
        lines += [f"## {sheet.title}", "", _line(sheet.columns)]
        lines.append("|---|" + "--:|" * (len(sheet.columns) - 1))
        lines += [*map(_line, sheet.rows), ""]
    return "\n".join(lines[:-1]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def policy_json(report: PolicyReport) -> str:
    """The report with its ratios, for a program; amounts are minor units."""
    return json.dumps(_plain(report), indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Slice):
        ratios = {
            "precision": value.precision,
            "false_positives_per_fraud": value.false_positives_per_fraud,
        }
        return {**asdict(value), **ratios}
    if isinstance(value, PolicyReport | RuleLine):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def write_policy_report(report: PolicyReport, decisions: Path) -> Path:
    """Write DECISIONS.report.json and .report.md; returns the latter."""
    page = decisions.with_suffix(".report.md")
    decisions.with_suffix(".report.json").write_text(policy_json(report), "utf-8")
    made_by = (
        f"Decisions: `{decisions.name}`. Policy: {_listed(report.policies)}. "
        f"Model: {_listed(report.models)}."
    )
    text = markdown("Policy report", policy_sheets(report), [made_by])
    page.write_text(text, "utf-8")
    return page


def _listed(versions: Sequence[str]) -> str:
    return ", ".join(versions) or "not recorded"


def money(amounts: Money) -> str:
    """Amounts in major units, a currency each; never added up.

    >>> money({"EUR": 1234567, "JPY": 20}), money({})
    ('12,345.67 EUR, 20 JPY', '0')
    """
    parts = []
    for currency, minor in sorted(amounts.items()):
        digits = CURRENCY_DIGITS.get(currency, _DEFAULT_DIGITS)
        parts.append(f"{Decimal(minor).scaleb(-digits):,.{digits}f} {currency}".strip())
    return ", ".join(parts) or "0"


def share(part: int, whole: int) -> str:
    """A part in per cent of the whole, a dash where there is none.

    >>> share(1, 8), share(0, 0)
    ('12.50%', '–')
    """
    return percent(part / whole if whole else None)


def percent(ratio: float | None) -> str:
    """A ratio in per cent, a dash for None."""
    return "–" if ratio is None else f"{ratio:.2%}"


def number(ratio: float | None) -> str:
    """A ratio as a number, a dash for None.

    >>> number(2.5), number(None)
    ('2.50', '–')
    """
    return "–" if ratio is None else f"{ratio:,.2f}"
