"""The table of reasons: what each group of features is called outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scoring.core.document import load
from scoring.errors import BadArtifact

Code = Annotated[str, Field(pattern=r"[A-Z][A-Z0-9_]{2,63}")]


class ReasonRow(BaseModel):
    """One reason: the feature group it stands for, its stable code, its wording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str = Field(min_length=1, max_length=64)
    code: Code
    wording: str = Field(min_length=10, max_length=200)
    # Which contributions give this reason: those that raise the score, or any.
    direction: Literal["raises", "either"] = "raises"


class _ReasonFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    reasons: tuple[ReasonRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> _ReasonFile:
        for column in ("group", "code"):
            values = [getattr(row, column) for row in self.reasons]
            twice = {v for v in values if values.count(v) > 1}
            if twice:
                raise ValueError(f"{column} stands twice: {', '.join(sorted(twice))}")
        return self


@dataclass(frozen=True, slots=True)
class ReasonTable:
    """Reasons by feature group."""

    rows: Mapping[str, ReasonRow]

    def require(self, groups: set[str], *, name: str) -> None:
        """Raise `BadArtifact` naming the groups that no reason stands for."""
        missing = sorted(groups - set(self.rows))
        if missing:
            raise BadArtifact(
                f"{name}: no reason for the feature groups {', '.join(missing)}; "
                "add a row for each"
            )


def load_reasons(text: str, *, name: str) -> ReasonTable:
    """Read a reason table from YAML; raises `BadArtifact` with line and field.

    >>> table = load_reasons('''
    ... version: 1
    ... reasons:
    ...   - {group: amount, code: AMOUNT_HIGH, wording: The amount is unusually high.}
    ... ''', name="reasons.yaml")
    >>> table.rows["amount"].code
    'AMOUNT_HIGH'
    """
    document = load(text, _ReasonFile, name=name)
    return ReasonTable({row.group: row for row in document.reasons})


def default_reasons() -> ReasonTable:
    """The shipped table, scoring/defaults/reasons.yaml."""
    text = files("scoring.defaults").joinpath("reasons.yaml").read_text()
    return load_reasons(text, name="reasons.yaml")
