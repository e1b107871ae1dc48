"""The table of reasons: what each group of features is called, and when it is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from scoring.core import document
from scoring.core.decision.decision import Reason, ReasonSource
from scoring.core.features.catalogue import Catalogue, Feature
from scoring.core.policy.rules.inputs import Schema, features_in
from scoring.core.policy.rules.problem import RuleProblem, caret
from scoring.core.policy.rules.program import Row, supporting
from scoring.errors import BadArtifact

Code = Annotated[str, Field(pattern=r"[A-Z][A-Z0-9_]{2,63}")]
Wording = Annotated[str, Field(min_length=10, max_length=200)]
_SHARE_MAX = 0.0105  # of frauds, without any: the shipped table says more from 0.011
_SHIPPED = "scoring/defaults/reasons.yaml"


class ReasonWording(BaseModel):
    """A stable code and its public wording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Code
    wording: Wording


class ReasonRow(BaseModel):
    """One reason: the feature group it stands for, its stable code, its wording.

    `when` are predicates over the group's own features: the wording is true where one
    of them is known to hold. Where none is, `otherwise` is said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str = Field(min_length=1, max_length=64)
    code: Code
    wording: Wording
    when: Annotated[
        tuple[str, ...], BeforeValidator(document.several), Field(min_length=1)
    ]
    otherwise: ReasonWording


class ReasonFile(BaseModel):
    """The whole file; `score` is said where no group raised a score that refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: document.FormatVersion
    score: ReasonWording
    reasons: tuple[ReasonRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> ReasonFile:
        columns = {
            "group": [row.group for row in self.reasons],
            "code": [
                self.score.code,
                *(c for r in self.reasons for c in (r.code, r.otherwise.code)),
            ],
        }
        for column, values in columns.items():
            twice = {v for v in values if values.count(v) > 1}
            if twice:
                raise ValueError(f"{column} stands twice: {', '.join(sorted(twice))}")
        return self


@dataclass(frozen=True, slots=True)
class GroupReason:
    """What a group of features that raised the score is called outside.

    `holds(row)` says whether the values of the group (Python floats in the
    catalogue's order, NaN unknown) support `wording`; else `neutral` is said. Each
    is a code and its wording.
    """

    specific: tuple[str, str]
    neutral: tuple[str, str]
    holds: Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class ReasonTable:
    """Reasons by feature group, compiled against one catalogue."""

    file: ReasonFile
    groups: Mapping[str, GroupReason]

    @property
    def score(self) -> Reason:
        """The reason of a score that refuses where no group raised it."""
        said = self.file.score
        return Reason(said.code, said.wording, ReasonSource.MODEL)

    def of(self, group: str) -> GroupReason:
        """The reason of a group; of one without a row only that it added to the risk.

        >>> from scoring.core.features.catalogue import default_catalogue
        >>> default_reasons(default_catalogue()).of("MOON_PHASE").neutral
        ('MOON_PHASE', 'MOON_PHASE added to the risk.')
        """
        return self.groups.get(group) or _nameless(group)


def _nameless(group: str) -> GroupReason:
    said = (group, f"{group} added to the risk.")
    return GroupReason(said, said, lambda _: False)


def load_reasons(text: str, *, catalogue: Catalogue, name: str) -> ReasonTable:
    """Read a reason table from YAML; raises `BadArtifact` with line and field.

    A predicate is checked like a rule, and may read the features of its group only.
    """
    file = document.load(text, ReasonFile, name=name)
    problems, groups = [], {}
    for i, row in enumerate(file.reasons):
        try:
            groups[row.group] = _compiled(row, catalogue)
        except RuleProblem as problem:
            line = document.line_of(text, ("reasons", i, "when"))
            problems.append(f"{name}:{line}: reasons.{i}.when: {problem.message}")
    if problems:
        raise BadArtifact("\n".join(problems))
    return ReasonTable(file, groups)


def default_reasons(catalogue: Catalogue) -> ReasonTable:
    """The shipped table, of whose predicates those count that the catalogue can answer.

    A group that can answer none of its own has only its neutral reason. A share that
    is high without any fraud, by a prior of the definitions' own, tells of none.
    """
    text = files("scoring.defaults").joinpath("reasons.yaml").read_text()
    file = document.load(text, ReasonFile, name=_SHIPPED)
    groups = {}
    for row in file.reasons:
        own = {
            name
            for name in _names(row.group, catalogue)
            if not _presumes_fraud(catalogue.features[name])
        }
        asked = (t for t in row.when if own.issuperset(features_in(t)))
        when = tuple(t for t in asked if _can_tell(t, catalogue))
        groups[row.group] = _compiled(row.model_copy(update={"when": when}), catalogue)
    return ReasonTable(file, groups)


def _can_tell(text: str, catalogue: Catalogue) -> bool:
    """Whether a predicate can hold and fail: features of one name may differ."""
    try:
        supporting([text], Schema(catalogue.names, bounds=catalogue.bounds))
    except RuleProblem:
        return False
    return True


def _presumes_fraud(feature: Feature) -> bool:
    """Whether a share of frauds is above the shipped table's bound without any."""
    frauds, count = feature.prior
    if count:
        return frauds / count > _SHARE_MAX
    return feature.statistic == "fraud_rate" and (feature.default or 0.0) > _SHARE_MAX


def _compiled(row: ReasonRow, catalogue: Catalogue) -> GroupReason:
    schema = Schema(catalogue.names, bounds=catalogue.bounds)
    other = set(catalogue.names) - _names(row.group, catalogue)
    for text in row.when:
        read = features_in(text)
        strange = sorted(other.intersection(read))
        if strange:
            raise RuleProblem(0, f"{strange[0]} is of another group than {row.group}")
        try:
            supporting([text], schema)
        except RuleProblem as problem:
            message = f"{problem.message}\n{caret(text, problem.offset)}"
            raise RuleProblem(problem.offset, message) from problem
        if not read:
            proves = (
                f"reads no feature, so that it proves nothing; name one of {row.group}"
            )
            raise RuleProblem(0, proves)
    neutral = (row.otherwise.code, row.otherwise.wording)
    return GroupReason((row.code, row.wording), neutral, supporting(row.when, schema))


def _names(group: str, catalogue: Catalogue) -> set[str]:
    """The features of a group."""
    return {n for n, f in catalogue.features.items() if f.reason_group == group}
