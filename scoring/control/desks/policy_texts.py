"""Whether a policy text is good, by the definitions of this installation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from scoring.control.domain.policy_life import CheckedText
from scoring.core.features.catalogue import Catalogue
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.policy_problems import remarks
from scoring.core.policy.reasons import load_reasons
from scoring.core.policy.rule_file import with_rule
from scoring.core.release.policy_release import PolicyText
from scoring.errors import BadArtifact

_REMEMBERED_MAX = 32  # of up to 4 MB each
_LOCATED = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+): (?P<said>.*)$", re.MULTILINE)
_FIELD = re.compile(r"^(?P<field>[\w.]+): (?P<message>.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of a text: where it is, and what would be right."""

    file: str
    line: int
    field: str
    message: str


class PolicyTexts:
    """Checks texts against the feature definitions.

    `reasons` is the installation's table of reasons, for a text that brings none.
    """

    def __init__(self, catalogue: Catalogue, reasons: str | None = None) -> None:
        self._catalogue = catalogue
        self._reasons = reasons
        # A text is checked at each step of its life, and means the same at each.
        self._remembered = lru_cache(maxsize=_REMEMBERED_MAX)(self._loaded)

    def checked(self, text: str, reasons: str | None = None) -> CheckedText:
        """A good text and what it means; raises `BadArtifact` with every mistake."""
        return self._remembered(text, self._reasons if reasons is None else reasons)

    def of(self, text: PolicyText) -> CheckedText:
        """A good text as the settings or a release have it; raises `BadArtifact`."""
        return self.checked(text.text, text.reasons)

    def guarded(self, good: CheckedText) -> tuple[str, ...]:
        """The rules that a breaker watches, by a good text; `*` is the whole policy."""
        return tuple(self._policy(good.text, good.reasons).guards)

    def with_rule(self, text: str, reasons: str | None, rule: str) -> Policy:
        """What a good text becomes by one rule more; raises `BadArtifact`."""
        base = self._policy(text, self._reasons if reasons is None else reasons)
        return with_rule(base, rule, catalogue=self._catalogue, name="rule")

    def _loaded(self, text: str, table: str | None) -> CheckedText:
        policy = self._policy(text, table)
        return CheckedText(
            text=text,
            reasons=table,
            version=policy.version,
            name=policy.name,
            lists=tuple(policy.file.lists),
            remarks=tuple(remarks(policy.file, policy.program.always)),
        )

    def _policy(self, text: str, table: str | None) -> Policy:
        reasons = None
        if table is not None:
            reasons = load_reasons(table, catalogue=self._catalogue, name="reasons")
        return load_policy(
            text, catalogue=self._catalogue, name="policy", reasons=reasons
        )


def mistakes(error: BadArtifact) -> list[Mistake]:
    """The mistakes that a refusal lists, in its order.

    >>> mistakes(BadArtifact("policy:3: rules.0.then: must be one of …"))
    [Mistake(file='policy', line=3, field='rules.0.then', message='must be one of …')]
    """
    found = []
    for located in _LOCATED.finditer(str(error)):
        field = _FIELD.match(located["said"])
        found.append(
            Mistake(
                located["file"],
                int(located["line"]),
                field["field"] if field else "",
                field["message"] if field else located["said"],
            )
        )
    return found
