"""A report as tables, on the screen and as Markdown, and its numbers in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from rich.console import Console
from rich.table import Table as Grid

from scoring.core.transaction.codes import CURRENCY_DIGITS
from scoring.replay.slices import Money

_DEFAULT_DIGITS = 2
_PIPE_WIDTH = 160


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a report; cells are text, the first column is a name."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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


def sure(
    ratio: float | None, interval: tuple[float, float] | None, *, digits: int = 1
) -> str:
    """A ratio in per cent with its interval, a dash where there is none.

    >>> sure(0.5, (0.25, 0.75)), sure(None, None)
    ('50.0% (25.0%–75.0%)', '–')
    """
    if ratio is None or interval is None:
        return "–"
    of, low, high = (f"{edge:.{digits}%}" for edge in (ratio, *interval))
    return f"{of} ({low}–{high})"


def number(ratio: float | None) -> str:
    """A ratio as a number, a dash for None.

    >>> number(2.5), number(None)
    ('2.50', '–')
    """
    return "–" if ratio is None else f"{ratio:,.2f}"
