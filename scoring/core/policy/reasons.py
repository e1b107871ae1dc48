"""The table of reasons: what each group of features is called, and when it is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from scoring.core import document
from scoring.core.decision.decision import Reason, ReasonSource
from scoring.core.features.catalogue import Catalogue, Feature
from scoring.core.features.shipped_catalogues import shipped_catalogues
from scoring.core.policy.rules.inputs import Schema, features_in
from scoring.core.policy.rules.problem import RuleProblem, caret, suggestion
from scoring.core.policy.rules.program import Row, supporting
from scoring.core.transaction.card_number import holds_card_number

Code = Annotated[str, Field(pattern=r"[A-Z][A-Z0-9_]{2,63}")]
Wording = Annotated[str, Field(min_length=10, max_length=200)]
_SHARE_MAX = 0.0105  # of frauds, without any: the shipped table says more from 0.011
_SHIPPED = "scoring/defaults/reasons.yaml"
Path = tuple[str | int, ...]


class ReasonWording(BaseModel):
    """A stable code and its public wording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Code
    wording: Wording


class ReasonRow(BaseModel):
    """One reason: the feature group it is for, its stable code, its wording.

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
    What only another shipped catalogue has is left out, so that one table serves all.
    """
    file = document.load(text, ReasonFile, name=name)
    found = [*_taken_twice(file), *_told_numbers(file), *_refused(file, catalogue)]
    if found:
        lines = [
            f"{name}:{document.line_of(text, path)}: {'.'.join(map(str, path))}: {said}"
            for path, said in found
        ]
        raise document.refusal(lines, name=name)
    groups = {}
    for row in file.reasons:
        asked = [text for text in row.when if _is_known(text, row.group, catalogue)]
        groups[row.group] = _compiled(row, asked, catalogue)
    return ReasonTable(file, groups)


def _sayings(file: ReasonFile) -> Iterator[tuple[Path, ReasonWording | ReasonRow]]:
    """Every code with its wording, and where it is."""
    yield ("score",), file.score
    for i, row in enumerate(file.reasons):
        yield ("reasons", i), row
        yield ("reasons", i, "otherwise"), row.otherwise


def _taken_twice(file: ReasonFile) -> Iterator[tuple[Path, str]]:
    groups = [(("reasons", i, "group"), r.group) for i, r in enumerate(file.reasons)]
    codes = [((*path, "code"), said.code) for path, said in _sayings(file)]
    for named in (groups, codes):
        first: dict[str, Path] = {}
        for path, value in named:
            above = first.setdefault(value, path)
            if above != path:
                yield path, f"{value} is in {'.'.join(map(str, above))} already"


def _told_numbers(file: ReasonFile) -> Iterator[tuple[Path, str]]:
    """Wordings that hold a card number: they are said outside."""
    for path, said in _sayings(file):
        if holds_card_number(said.wording):
            yield (*path, "wording"), "holds a card number; take it out"


def _refused(file: ReasonFile, catalogue: Catalogue) -> Iterator[tuple[Path, str]]:
    """Groups that no definitions have, and each predicate that cannot be asked."""
    own = _groups(catalogue)
    for i, row in enumerate(file.reasons):
        if row.group in own:
            asked = catalogue
        elif others := _others_of(row.group):
            asked = others[0]
        else:
            every = own.union(*map(_groups, shipped_catalogues()))
            meant = suggestion(row.group, every)
            yield ("reasons", i, "group"), f"no feature is of {row.group}{meant}"
            continue
        for when in row.when:
            problem = _problem(when, row.group, asked)
            if problem and not _is_of_others(when, row.group, catalogue):
                yield ("reasons", i, "when"), problem


def _is_known(text: str, group: str, catalogue: Catalogue) -> bool:
    """Whether the definitions have the group, and all that a predicate reads."""
    return group in _groups(catalogue) and not _lacking(text, catalogue)


def _is_of_others(text: str, group: str, catalogue: Catalogue) -> bool:
    """Whether a predicate is for other definitions that are shipped, not for these."""
    if not _lacking(text, catalogue):
        return False
    return any(_problem(text, group, other) is None for other in _others_of(group))


def _lacking(text: str, catalogue: Catalogue) -> set[str]:
    """The features that a predicate reads and the definitions lack."""
    return set(features_in(text)).difference(catalogue.names)


def _others_of(group: str) -> list[Catalogue]:
    """The shipped catalogues that have a group."""
    return [other for other in shipped_catalogues() if group in _groups(other)]


def _groups(catalogue: Catalogue) -> set[str]:
    return {feature.reason_group for feature in catalogue.features.values()}


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
        when = [t for t in asked if _can_tell(t, catalogue)]
        groups[row.group] = _compiled(row, when, catalogue)
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


def _problem(text: str, group: str, catalogue: Catalogue) -> str | None:
    """Why a predicate cannot be asked, or None."""
    try:
        _ask(text, group, catalogue)
    except RuleProblem as problem:
        return problem.message
    return None


def _ask(text: str, group: str, catalogue: Catalogue) -> None:
    """Raises `RuleProblem` for a predicate that its group cannot be asked."""
    read = features_in(text)
    strange = sorted((set(catalogue.names) - _names(group, catalogue)) & set(read))
    if strange:
        raise RuleProblem(0, f"{strange[0]} is of another group than {group}")
    try:
        supporting([text], Schema(catalogue.names, bounds=catalogue.bounds))
    except RuleProblem as problem:
        message = f"{problem.message}\n{caret(text, problem.offset)}"
        raise RuleProblem(problem.offset, message) from problem
    if not read:
        proves = f"reads no feature, so that it proves nothing; name one of {group}"
        raise RuleProblem(0, proves)


def _compiled(row: ReasonRow, when: Sequence[str], catalogue: Catalogue) -> GroupReason:
    schema = Schema(catalogue.names, bounds=catalogue.bounds)
    neutral = (row.otherwise.code, row.otherwise.wording)
    return GroupReason((row.code, row.wording), neutral, supporting(when, schema))


def _names(group: str, catalogue: Catalogue) -> set[str]:
    """The features of a group."""
    return {n for n, f in catalogue.features.items() if f.reason_group == group}
