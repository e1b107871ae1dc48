"""A rule in a file of its own, and the version that it makes of another."""

from __future__ import annotations

from pydantic import Field

from scoring.core import document
from scoring.core.features.catalogue import Catalogue
from scoring.core.policy.policy import Policy, policy_of
from scoring.core.policy.policy_file import Rule
from scoring.core.policy.reasons import Code
from scoring.errors import BadArtifact


class RuleFile(Rule):
    """A rule in a file of its own; `reasons` words the codes that it brings."""

    reasons: dict[Code, str] = Field(default_factory=dict)


def with_rule(base: Policy, text: str, *, catalogue: Catalogue, name: str) -> Policy:
    """The base version with one rule more, in the place of one of its id.

    Raises `BadArtifact` for a rule that the version could not have.
    """
    written = document.load(text, RuleFile, name=name)
    rule = Rule(**{f: getattr(written, f) for f in Rule.model_fields})
    reasons = {**base.file.reasons, **written.reasons}
    for code in (rule.reason_code, rule.missing_reason_code):
        if code and code not in reasons:
            raise BadArtifact(
                f"{name}: reasons: has no wording for {code}; add it, or use a code of "
                f"{base.name}"
            )
    others = [one for one in base.file.rules if one.id != rule.id]
    places = [one.id for one in base.file.rules]
    at = places.index(rule.id) if rule.id in places else len(others)
    rules = (*others[:at], rule, *others[at:])
    file = base.file.model_copy(update={"rules": rules, "reasons": reasons})
    return policy_of(file, text, catalogue=catalogue, name=name, reasons=base.reasons)
