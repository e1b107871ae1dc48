"""A decision: the deterministic core, and the words it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from scoring.core.fast_init import fast_init


class Outcome(IntEnum):
    """What the payment system should do; a larger number is stricter."""

    UNSPECIFIED = 0
    APPROVE = 1
    CHALLENGE = 2
    REVIEW = 3
    DECLINE = 4


class Rung(IntEnum):
    """How much of the path was available, best first."""

    UNSPECIFIED = 0
    FULL = 1
    PARTIAL_FEATURES = 2
    WITHOUT_HISTORY = 3
    RULES_ONLY = 4
    DEFAULT = 5


OURS = "ours"  # the champion's; see DegradationCode


class DegradationCode(IntEnum):
    """What was missing when we decided; numbers as in the protobuf enum.

    Each says which rung it leaves, and whether it is `ours` alone: what a challenger,
    which has its own model and records nothing, does not lack.
    """

    rung: Rung
    ours: bool

    def __new__(cls, number: int, rung: Rung | None = None, whose: str = "") -> Self:
        """A member: its number and what it implies."""
        if rung is None:
            raise TypeError(f"degradation {number} does not say which rung it leaves")
        member = int.__new__(cls, number)
        member._value_ = number
        member.rung, member.ours = rung, whose == OURS
        return member

    UNSPECIFIED = 0, Rung.UNSPECIFIED
    HISTORY_UNAVAILABLE = 1, Rung.WITHOUT_HISTORY
    HISTORY_PARTIAL = 2, Rung.PARTIAL_FEATURES
    MODEL_UNAVAILABLE = 3, Rung.RULES_ONLY, OURS
    NOT_RECORDED = 4, Rung.FULL, OURS
    OUT_OF_TIME = 5, Rung.WITHOUT_HISTORY
    SECOND_LOOK_SKIPPED = 6, Rung.FULL, OURS
    HISTORY_CORRUPT = 7, Rung.PARTIAL_FEATURES
    TOO_LATE = 8, Rung.FULL
    AMOUNT_UNKNOWN = 9, Rung.PARTIAL_FEATURES
    HISTORY_AMOUNT_UNKNOWN = 10, Rung.PARTIAL_FEATURES


class ReasonSource(IntEnum):
    """What a reason rests on."""

    UNSPECIFIED = 0
    MODEL = 1
    RULE = 2
    LIST = 3
    FALLBACK = 4
    SAMPLE = 5


class RuleMode(IntEnum):
    """What a rule does when it holds."""

    UNSPECIFIED = 0
    ENFORCE = 1
    SHADOW = 2


class Arm(IntEnum):
    """Which arm of a rollout decided; UNSPECIFIED where there was none."""

    UNSPECIFIED = 0
    CURRENT = 1
    CANDIDATE = 2


class ComputeTarget(IntEnum):
    """Which compiled form of the model ran."""

    UNSPECIFIED = 0
    ENSEMBLE = 1
    TENSOR = 2


class SecondLook(IntEnum):
    """Whether the deeper look was taken."""

    UNSPECIFIED = 0
    NOT_NEEDED = 1
    TAKEN = 2
    SKIPPED = 3


class Door(IntEnum):
    """Which door the transaction came through."""

    UNSPECIFIED = 0
    GRPC = 1
    KAFKA = 2
    HTTP = 3


@dataclass(frozen=True, slots=True)
class Degradation:
    """Something that was missing when we decided, and where."""

    code: DegradationCode
    detail: str = ""


def rung_of(degradations: tuple[Degradation, ...]) -> Rung:
    """How much of the path was available where these were missing.

    >>> rung_of(()).name, rung_of((Degradation(DegradationCode.TOO_LATE),)).name
    ('FULL', 'FULL')
    >>> rung_of((Degradation(DegradationCode.HISTORY_PARTIAL, "card"),)).name
    'PARTIAL_FEATURES'
    """
    if not degradations:  # nearly always
        return Rung.FULL
    return max(one.code.rung for one in degradations)


@dataclass(frozen=True, slots=True)
class Velocity:
    """A velocity limit that was reached; `clears_at_ms` is None when none clears it."""

    feature: str
    observed: float
    limit: float
    clears_at_ms: int | None = None
    exact: bool = True


@fast_init
@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in one stable code with its public wording."""

    code: str
    wording: str
    source: ReasonSource
    contribution: float = 0.0
    velocity: Velocity | None = None


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A rule that held, or (unknown) could not be known to hold.

    With `case` it sends the payment to people, whatever the outcome.
    """

    rule: str
    outcome: Outcome
    mode: RuleMode
    unknown: bool = False
    case: bool = False


@dataclass(frozen=True, slots=True)
class ShadowOutcome:
    """What a policy version in state shadow would have decided."""

    policy: str
    outcome: Outcome
    rule_hits: tuple[RuleHit, ...] = ()


@dataclass(frozen=True, slots=True)
class Versions:
    """What made the decision: content hashes.

    `rates` is of those effective by the payment's time, "" in earlier releases.
    `lists` is the revision of the managed lists, 0 where there are none.
    """

    model: str = ""
    policy: str = ""
    features: str = ""
    rates: str = ""
    lists: int = 0


@fast_init
@dataclass(frozen=True, slots=True)
class DecisionCore:
    """The deterministic part of a decision.

    `score` is the calibrated probability, which thresholds are of (None where no
    model ran), `margin` the raw log-odds, which rank. `features` is the
    little-endian float32 vector the model saw, NaN where missing. `let_through` is
    the probability with which this would-be decline was approved, None for all others.
    """

    tenant: str
    transaction_id: str
    payload_hash: bytes
    outcome: Outcome
    score: float | None
    margin: float | None
    reasons: tuple[Reason, ...]
    rule_hits: tuple[RuleHit, ...] = ()
    degradations: tuple[Degradation, ...] = ()
    provisional: bool = False
    rung: Rung = Rung.FULL
    versions: Versions = field(default_factory=Versions)
    features: bytes = b""
    inexact_features: tuple[str, ...] = ()
    target: ComputeTarget = ComputeTarget.UNSPECIFIED
    second_look: SecondLook = SecondLook.UNSPECIFIED
    arm: Arm = Arm.UNSPECIFIED
    let_through: float | None = None
