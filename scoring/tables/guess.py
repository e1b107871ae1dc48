"""What is guessed of a table so far, and what must be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Values = Callable[[str], Iterator[str]]


@dataclass(slots=True)
class Guess:
    """A mapping in the making, with its remarks."""

    columns: dict[str, str | list[str]] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    amount_unit: str = "major"

    def ask(self, remark: str) -> None:
        """Say what only a person can know."""
        self.asked.append(remark)
        self.remarks.append(remark)

    def column(self, ours: str) -> str:
        """The one column of a field; empty where there is none, or several."""
        found = self.columns.get(ours, "")
        return found if isinstance(found, str) else ""
