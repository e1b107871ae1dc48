"""What a check is answered: a decision as it is, or an error."""

from __future__ import annotations

from dataclasses import dataclass

from scoring import wire
from scoring.core.decision.decision import Outcome
from scoring.core.fast_init import fast_init
from scoring.errors import ScoringError
from scoring.ports.check import Check


@fast_init
@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, as it is in the record (or provisionally, without one).

    `decision` is the encoded Decision: a repeat returns it byte for byte. `logged`
    is the record for the decisions topic, where this call is the one that must
    append it; None where another call did or will. `outlives` is false where nothing
    but the log could keep it, should this process end.
    """

    decision: bytes
    outcome: Outcome
    first: bool
    provisional: bool = False
    logged: bytes | None = None
    outlives: bool = True


Answer = Decided | ScoringError


def recorded_answer(check: Check, decision: bytes) -> Decided:
    """What is in the record; ours to append only if this input record made it.

    Or if one did that no worker will see again: of a topic that was made again since,
    or of the cluster that this one mirrors.
    """
    message = wire.decision_from_bytes(decision)
    made_by = message.trace
    elsewhere = 0 not in (made_by.incarnation, check.incarnation) and (
        made_by.incarnation != check.incarnation
    )
    ours = check.position != "" and (made_by.position == check.position or elsewhere)
    return Decided(
        decision,
        Outcome(message.core.outcome),
        first=False,
        provisional=message.core.provisional,
        logged=wire.logged_to_bytes(decision, check) if ours else None,
    )


def repeated_answer(decision: bytes) -> Decided:
    """The answer to a repeat of a provisional decision."""
    outcome = Outcome(wire.decision_from_bytes(decision).core.outcome)
    return Decided(decision, outcome, first=False, provisional=True)
