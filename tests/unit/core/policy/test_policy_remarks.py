"""What a policy file says in vain is remarked, and its mistakes come in order."""

from __future__ import annotations

import pytest
from small_policy import SMALL

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.policy_problems import remarks
from scoring.core.policy.shipped_policy import default_policy
from scoring.errors import BadArtifact

CATALOGUE = default_catalogue()


def policy(extra: str) -> Policy:
    return load_policy(SMALL + extra, catalogue=CATALOGUE, name="policy.yaml")


def test_entries_that_differ_only_in_case_or_blanks_are_remarked() -> None:
    text = """
lists:
  shops: {entries: [{token: Shop-1}, {token: shop-1}, {token: 'shop-2 '}, {token: x}]}
limits:
  x: {default: 1, segments: [{where: {merchant: [M1, m1]}, limit: 2}]}
"""
    assert remarks(policy(text).file)[:3] == [
        "lists.shops: 'Shop-1' and 'shop-1' differ only in case",
        "lists.shops: 'shop-2 ' begins or ends with a blank",
        "limits.x.segments.where.merchant: 'M1' and 'm1' differ only in case",
    ]


def test_what_a_policy_holds_in_vain_is_remarked() -> None:
    text = """
limits: {seen: {default: 5}, unseen: {default: 5}}
lists:
  blocked: {field: card, then: decline, reason_code: BLOCKED,
    entries: [{token: a, expires: 2027-01-01T00:00:00Z}, {token: a}]}
  listed: {entries: [{token: a}]}
rules:
  - {id: r, when: features.card_count_1h > limits.seen, then: review,
     reason_code: TOO_LARGE}
"""
    segments = "  segments: [{where: {merchant: m}, challenge: 0.3}]\ndefault:"
    written = (SMALL + text).replace("default: {outcome", f"{segments} {{outcome")
    found = load_policy(written, catalogue=CATALOGUE, name="policy.yaml")
    assert remarks(found.file) == [
        "lists.blocked: 'a' occurs twice; the last to end counts",
        (
            "thresholds.segments.0: challenge 0.3 never applies: review begins at 0.2; "
            "write both"
        ),
        "limits.unseen: no rule reads it",
        "lists.listed: no rule reads it",
        "reasons.TRUSTED: nothing says it",
    ]


def test_nothing_is_remarked_of_the_shipped_policy() -> None:
    shipped = default_policy(CATALOGUE)
    assert remarks(shipped.file, shipped.program.always) == []


def test_mistakes_of_every_kind_are_told_in_the_order_of_their_lines() -> None:
    text = """limits: {ticket_minor: {default: 1.5}}
rules:
  - {id: a, when: score = 0.5, then: review, reason_code: TOO_LARGE}
  - {id: a, when: score > 0.5, then: review, reason_code: NOBODY}
"""
    with pytest.raises(BadArtifact) as refused:
        policy(text)
    told = [x for x in str(refused.value).splitlines() if x.startswith("policy.yaml")]
    fields = [line.split(": ")[1] for line in told]
    assert fields[:2] == ["limits.ticket_minor", "rules.0 (a).when"]
    assert sorted(fields[2:]) == ["rules.1.id", "rules.1.reason_code"]
