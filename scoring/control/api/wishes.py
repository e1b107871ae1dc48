"""What the API takes, as JSON: kinds are exact, a name that is not known is refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from scoring.control.domain.approvals import Act
from scoring.control.domain.people import PersonRole
from scoring.core.transaction.card_number import holds_card_number

_TEXT_CHARACTERS_MAX = 900_000  # a record of the topic holds no more
_WHY_CHARACTERS_MAX = 2_000


def without_card_number(text: str) -> str:
    """A text that people wrote; raises `ValueError` where it holds a card number."""
    if holds_card_number(text):
        raise ValueError("holds a card number; write its token instead")
    return text


class Wish(BaseModel):
    """What is sent: kinds are exact, and a name that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Why = Annotated[
    str,
    Field(max_length=_WHY_CHARACTERS_MAX, description="The reason, for the audit."),
    AfterValidator(without_card_number),
]
PolicyYaml = Annotated[
    str,
    Field(
        min_length=1,
        max_length=_TEXT_CHARACTERS_MAX,
        description="The policy as YAML.",
    ),
]
ReasonsYaml = Annotated[
    str | None,
    Field(
        max_length=_TEXT_CHARACTERS_MAX,
        description="Its table of reasons as YAML; null: the installation's.",
    ),
]
VersionHash = Annotated[
    str,
    Field(pattern="^[0-9a-f]{16}$", description="The hash of what the version means."),
]
Number = Annotated[int, Field(ge=1, le=2**53, description="A number given here.")]


class TextWish(Wish):
    """A policy's text, to be checked."""

    text: PolicyYaml
    reasons: ReasonsYaml = None


class DraftWish(TextWish):
    """A new draft."""

    based_on: Number | None = None
    why: Why = ""


class EditWish(TextWish):
    """Another text of a draft."""

    why: Why = ""


class ProposalWish(Wish):
    """What a version is proposed for."""

    act: Annotated[Act, Field(strict=False)] = Act.RELEASE
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    why: Why = ""


class ApprovalWish(Wish):
    """The approval of exactly one hash."""

    version: VersionHash
    why: Why = ""
    at_once: bool = Field(False, description="Also do what it was proposed for.")


class WhyWish(Wish):
    """Something that is done for a reason."""

    why: Why


class ActWish(Wish):
    """What an approved version shall do now."""

    policy: Number
    act: Annotated[Act, Field(strict=False)] = Act.RELEASE
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    why: Why = ""


class RollbackWish(Wish):
    """Back to the version before, or to an earlier one, which is then proposed."""

    why: Why
    to: Number | None = None


class RearmWish(Wish):
    """A rule whose breaker begins anew; `*` is the policy as a whole."""

    rule: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,63}|\*)$")]
    why: Why


PersonName = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$"),
    AfterValidator(without_card_number),
]


class PersonWish(Wish):
    """Somebody who is given a token."""

    name: PersonName
    roles: Annotated[
        list[Annotated[PersonRole, Field(strict=False)]],
        Field(min_length=1, max_length=5),
    ]
