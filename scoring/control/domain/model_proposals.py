"""A model's way to be the champion: proposed by one person, approved by another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.people import Doing, Right
from scoring.control.domain.wordings import checked_why
from scoring.errors import ChangedMeanwhile, Denied, NotPossible

_BECAUSE = ("no backtest judges a model: say what its approval rests on",)


class ModelStage(StrEnum):
    """Where a proposal is; the last two are its end."""

    OPEN = "open"
    PROMOTED = "promoted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProposal:
    """A model proposed as the champion.

    `champion` is the one that decided when it was proposed, "" for none: an approval
    is of this change, and of no other.
    """

    number: int
    model: str
    champion: str
    by: str
    at_ms: int
    why: str
    stage: ModelStage = ModelStage.OPEN
    decided_by: str = ""
    decided_at_ms: int | None = None
    reason: str = ""


def proposed(number: int, model: str, champion: str, doing: Doing) -> ModelProposal:
    """A proposal; raises `Denied`, and `NotPossible` for the champion itself."""
    doing.person.needs(Right.WRITE_POLICY)
    if model == champion:
        raise NotPossible(f"{model} is the champion already")
    return ModelProposal(
        number=number,
        model=model,
        champion=champion,
        by=doing.person.name,
        at_ms=doing.at_ms,
        why=checked_why(doing.why),
    )


def promoted(
    proposal: ModelProposal, champion: str, rules: ControlRules, doing: Doing
) -> ModelProposal:
    """The proposal once it is approved; `champion` is the one that decides now.

    Raises `Denied` for who proposed it, `NotPossible` where it has ended or lapsed,
    `ChangedMeanwhile` where another champion decides, and `ReasonRequired`. The model
    itself may: an approval before this one moved the registry, and was not recorded.
    """
    doing.person.needs(Right.APPROVE)
    _still_open(proposal)
    if doing.person.name == proposal.by and not rules.single_user:
        told = f"{proposal.by} proposed {proposal.model}; another person approves it"
        raise Denied(told)
    if doing.at_ms >= proposal.at_ms + rules.approval_ms:
        told = f"proposal {proposal.number} has lapsed: propose {proposal.model} again"
        raise NotPossible(told)
    if champion not in {proposal.champion, proposal.model}:
        raise ChangedMeanwhile(
            f"champion: {champion or 'none'} decides now, and proposal "
            f"{proposal.number} is of a change from {proposal.champion or 'none'}; "
            "propose it again",
            (f"-{proposal.champion}", f"+{champion}"),
        )
    reason = checked_why(doing.why, because=_BECAUSE)
    return _ended(proposal, ModelStage.PROMOTED, reason, doing)


def rejected(proposal: ModelProposal, doing: Doing) -> ModelProposal:
    """A proposal refused by an approver, or withdrawn by who made it."""
    if doing.person.name != proposal.by:
        doing.person.needs(Right.APPROVE)
    _still_open(proposal)
    because = ("whoever proposed it has to know why not",)
    reason = checked_why(doing.why, because=because)
    return _ended(proposal, ModelStage.REJECTED, reason, doing)


def _still_open(proposal: ModelProposal) -> None:
    if proposal.stage is not ModelStage.OPEN:
        raise NotPossible(f"proposal {proposal.number} is {proposal.stage} already")


def _ended(
    proposal: ModelProposal, stage: ModelStage, reason: str, doing: Doing
) -> ModelProposal:
    return replace(
        proposal,
        stage=stage,
        decided_by=doing.person.name,
        decided_at_ms=doing.at_ms,
        reason=reason,
    )
