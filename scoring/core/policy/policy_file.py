"""The policy as its file says it: what may be written, and within which limits."""

from __future__ import annotations

import operator
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from scoring.core.decision.decision import DegradationCode, Outcome
from scoring.core.document import FormatVersion, several
from scoring.core.policy.lists import ENTRIES_MAX, Entry, ListField, ms_of
from scoring.core.policy.reasons import Code
from scoring.core.policy.segments import Where
from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN
from scoring.core.transaction.transaction import AMOUNT_MINOR_MAX, never

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Probability = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
OutcomeName = Literal["approve", "challenge", "review", "decline"]
DEGRADATION_NAMES = tuple(code.name.lower() for code in DegradationCode if code)


def _names_degradation(name: str) -> str:
    if name not in DEGRADATION_NAMES:
        known = ", ".join(DEGRADATION_NAMES)
        raise ValueError(f"no degradation {name!r}; known: {known}")
    return name


DegradationName = Annotated[str, AfterValidator(_names_degradation)]
RULES_MAX = 500
BLOCK_PRIORITY = 2_000
ALLOW_PRIORITY = 1_000


def outcome(name: OutcomeName) -> Outcome:
    """The outcome of a name.

    >>> outcome("decline")
    <Outcome.DECLINE: 4>
    """
    return Outcome[name.upper()]


def degradation(name: DegradationName) -> DegradationCode:
    """The degradation of a name.

    >>> degradation("too_late")
    <DegradationCode.TOO_LATE: 8>
    """
    return DegradationCode[name.upper()]


def _is_none(written: object) -> bool:
    return written is None


class Part(BaseModel):
    """A part of a policy: immutable, and refusing what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Levels(Part):
    """The calibrated probabilities from which on an outcome applies.

    A level that is not written never applies (in a segment: the default's level).
    """

    challenge: Probability | None = None
    review: Probability | None = None
    decline: Probability | None = None

    @model_validator(mode="after")
    def _rising(self) -> Levels:
        written = [x for x in (self.challenge, self.review, self.decline) if x]
        if written != sorted(written):
            raise ValueError("must rise: challenge <= review <= decline")
        return self


class SegmentLevels(Levels):
    """Levels for a segment."""

    where: Where


class Thresholds(Part):
    """Levels of the score, global and by segment (the first match wins)."""

    default: Levels
    segments: tuple[SegmentLevels, ...] = Field((), max_length=10_000)


class SegmentLimit(Part):
    """A limit for a segment."""

    where: Where
    limit: float = Field(ge=-1e15, le=1e15)


class Limit(Part):
    """A number that rules name instead of repeating it."""

    default: float = Field(ge=-1e15, le=1e15)
    segments: tuple[SegmentLimit, ...] = Field((), max_length=10_000)


class TokenList(Part):
    """A named set of tokens.

    With `field` and `then` it acts by itself, as a rule would: a transaction whose
    field is on the list gets the outcome. Without, it serves rules. The tokens of one
    that is `managed` come from the control plane; there are none until it said so.
    """

    field: ListField | None = None
    then: OutcomeName | None = None
    reason_code: Code | None = None
    priority: int | None = Field(None, ge=-10_000, le=10_000)
    entries: tuple[Entry, ...] = Field((), max_length=ENTRIES_MAX)
    # Left out where it is not said: policies of earlier releases keep their version.
    managed: bool = Field(default=False, exclude_if=operator.not_)

    @model_validator(mode="after")
    def _acts_or_serves(self) -> TokenList:
        acting = (self.field, self.then, self.reason_code)
        if any(acting) and not all(acting):
            raise ValueError("field, then and reason_code are written together")
        if self.managed and self.entries:
            raise ValueError(
                "a managed list has no entries in a policy: leave them out here, and "
                "import them with `scoring lists import --from-policy`"
            )
        for entry in self.entries:
            if why := never(self.field or "", entry.token):
                raise ValueError(f"token {entry.token!r} never occurs: {why}")
        return self

    def rank(self) -> int:
        """Its priority: a block list comes before an allow list, both before rules."""
        if self.priority is not None:
            return self.priority
        return ALLOW_PRIORITY if self.then == "approve" else BLOCK_PRIORITY


class RuleBreaker(Part):
    """When the breaker stops one rule; what is not written is as the policy has it.

    `expected` is the share of payments that the rule declined in its backtest, which
    speaks until there is history; below `share_min` it is never stopped.
    """

    off: bool = False
    declines_min: int | None = Field(None, ge=10, le=1_000_000)
    times: float | None = Field(None, gt=1, le=100)
    expected: Share | None = None
    share_min: Share | None = None
    then: Literal["shadow", "review"] | None = None


class Breaker(Part):
    """When the breaker stops a rule, or all declines that no list asks for.

    It does from `declines_min` declines in five minutes on, once their share is more
    than `times` what is usual. `expected` is the share that the whole policy declined
    in its backtest. `then` is what a rule that was stopped still does.
    """

    off: bool = False
    declines_min: int = Field(50, ge=10, le=1_000_000)
    times: float = Field(3.0, gt=1, le=100)
    expected: Share | None = None
    then: Literal["shadow", "review"] = "shadow"


class LetThrough(Part):
    """A sample of would-be declines that is approved, to learn what they were.

    `share` of those by score or rule, never by a list, none above `amount_minor_max`
    and together, of one tenant in one day (UTC, event time), at most
    `budget_minor_per_day`: minor units of the catalogue's reference currency.
    """

    share: float = Field(gt=0, le=0.5)
    amount_minor_max: int = Field(ge=1, le=AMOUNT_MINOR_MAX)
    budget_minor_per_day: int = Field(ge=1, le=AMOUNT_MINOR_MAX)
    reason_code: Code = "LET_THROUGH"

    @model_validator(mode="after")
    def _affordable(self) -> LetThrough:
        if self.budget_minor_per_day < self.amount_minor_max:
            raise ValueError(
                "budget_minor_per_day is below amount_minor_max, so that nothing "
                "would be let through: raise it, or lower amount_minor_max"
            )
        return self


class Rule(Part):
    """A named predicate that can force an outcome; times are event time.

    With `rollout` it does so for that share of the payments, by a hash of the payment,
    and is shadow for the others. With `case` a payment for which it holds goes to
    people, whatever the outcome.
    """

    id: Name
    when: str = Field(min_length=1)
    then: OutcomeName
    reason_code: Code
    priority: int = Field(0, ge=-10_000, le=10_000)
    mode: Literal["enforce", "shadow", "off"] = "enforce"
    starts: AwareDatetime | None = None
    expires: AwareDatetime | None = None
    on_missing: Literal[OutcomeName, "no_match"] = "no_match"
    missing_reason_code: Code | None = None
    owner: str = Field("", max_length=100)
    # Left out where they are not written: such a policy keeps its version.
    case: bool = Field(default=False, exclude_if=operator.not_)
    rollout: Share | None = Field(None, exclude_if=_is_none)
    breaker: RuleBreaker | None = Field(None, exclude_if=_is_none)

    @model_validator(mode="after")
    def _span(self) -> Rule:
        if self.starts and self.expires and self.expires <= self.starts:
            raise ValueError("expires must be after starts")
        if self.expires and ms_of(self.expires) <= OCCURRED_AT_MS_MIN:
            raise ValueError("expires lies before any payment: it would never be asked")
        if self.starts and ms_of(self.starts) > OCCURRED_AT_MS_MAX:
            raise ValueError("starts lies after any payment: it would never be asked")
        if self.on_missing != "no_match" and not self.missing_reason_code:
            raise ValueError(
                "missing_reason_code is required where `on_missing` is an outcome: "
                "reason_code says what was not seen"
            )
        return self


class Fallback(Part):
    """What to do where something was missing; the first match wins, by degradation.

    `score` continues with what there is: the model without history, or the default.
    """

    degradation: Annotated[
        tuple[DegradationName, ...],
        BeforeValidator(several),
        Field(min_length=1),
    ]
    where: Where | None = None
    then: Literal[OutcomeName, "score"]
    reason_code: Code | None = None

    @model_validator(mode="after")
    def _reasoned(self) -> Fallback:
        if self.then != "score" and not self.reason_code:
            raise ValueError("reason_code is required where `then` is an outcome")
        return self


class Default(Part):
    """What is decided where nothing else decides: no score, no rule, no fallback."""

    outcome: OutcomeName = "review"
    reason_code: Code


class PolicyFile(Part):
    """A policy: one file, one version."""

    version: FormatVersion
    name: str = Field(min_length=1, max_length=100)
    thresholds: Thresholds
    limits: dict[Name, Limit] = Field(default_factory=dict, max_length=1_000)
    lists: dict[Name, TokenList] = Field(default_factory=dict, max_length=100)
    rules: tuple[Rule, ...] = Field((), max_length=RULES_MAX)
    fallbacks: tuple[Fallback, ...] = Field((), max_length=1_000)
    default: Default
    approved: Code = "NO_RISK_FOUND"
    model_reasons_max: int = Field(3, ge=1, le=8)
    breaker: Breaker | None = Field(None, exclude_if=_is_none)
    let_through: LetThrough | None = Field(None, exclude_if=_is_none)
    # What each code of this file says outside.
    reasons: dict[Code, Annotated[str, Field(min_length=10, max_length=200)]]
