"""A managed list: its tokens come from elsewhere, and change without a new version."""

from __future__ import annotations

import pytest
from small_policy import SMALL

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.lists import OCCURRED_AT_MS_MAX
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

NOON_2026_MS = 1_767_268_800_000
FOREVER_MS = OCCURRED_AT_MS_MAX + 1
LISTS = """
lists:
  blocked: {field: card, then: decline, reason_code: BLOCKED, managed: true}
  watched: {managed: true}
  own:
    entries: [{token: d9}]
rules:
  - id: watched_device
    when: transaction.device in lists.watched || transaction.device in lists.own
    then: review
    reason_code: TOO_LARGE
  - id: not_watched
    when: "!(transaction.device in lists.watched) && transaction.amount_minor > 90000"
    then: challenge
    reason_code: TOO_LARGE
"""
# What an earlier release called this policy, whose lists name no `managed`.
EARLIER = """
lists:
  blocked:
    field: card
    then: decline
    reason_code: BLOCKED
    entries:
      - {token: c1}
      - {token: c2, expires: 2026-01-01T12:00:00Z, reason: stolen}
  trusted:
    field: customer
    then: approve
    reason_code: TRUSTED
    entries: [{token: u1}]
"""


def policy(extra: str = LISTS) -> Policy:
    return load_policy(SMALL + extra, catalogue=default_catalogue(), name="policy.yaml")


def outcome(by: Policy, **fields: object) -> Outcome:
    given = {"occurred_at_ms": NOON_2026_MS, "amount_minor": 1_000, "currency": "EUR"}
    payment = Transaction("default", "t1", **(given | fields))
    evidence = Evidence(vector=None, probability=0.01)
    return decide(payment, b"h", policy=by, evidence=evidence).outcome


def test_a_managed_list_is_empty_until_its_tokens_come() -> None:
    by = policy()
    assert by.managed == {"blocked", "watched"}
    assert outcome(by, card="c1", device="d1") == Outcome.APPROVE
    assert outcome(by, device="d9") == Outcome.REVIEW


def test_lists_that_act_and_lists_that_rules_read_see_the_tokens_given() -> None:
    by = policy().with_lists({"blocked": {"c1": FOREVER_MS}, "watched": {"d1": 1}})
    assert outcome(by, card="c1") == Outcome.DECLINE
    assert outcome(by, card="c2") == Outcome.APPROVE
    assert outcome(by, device="d1") == Outcome.APPROVE  # it ended in 1970
    by = policy().with_lists({"watched": {"d1": FOREVER_MS}})
    assert outcome(by, device="d1") == Outcome.REVIEW
    assert outcome(by, device="d2", amount_minor=90_001) == Outcome.CHALLENGE


def test_an_entry_ends_by_event_time_to_the_millisecond() -> None:
    by = policy().with_lists({"blocked": {"c1": NOON_2026_MS}})
    last = outcome(by, card="c1", occurred_at_ms=NOON_2026_MS - 1)
    assert (last, outcome(by, card="c1")) == (Outcome.DECLINE, Outcome.APPROVE)


def test_other_tokens_leave_the_version_and_the_policy_they_were_given_to() -> None:
    empty = policy()
    filled = empty.with_lists({"blocked": {"c1": FOREVER_MS}})
    emptied = filled.with_lists({})
    assert filled.version == empty.version
    assert outcome(empty, card="c1") == outcome(emptied, card="c1") == Outcome.APPROVE
    assert outcome(filled, card="c1") == Outcome.DECLINE


def test_tokens_given_to_a_list_of_the_file_change_nothing() -> None:
    by = policy().with_lists({"own": {}, "unknown": {"c1": FOREVER_MS}})
    assert outcome(by, device="d9") == Outcome.REVIEW


def test_a_policy_without_managed_lists_keeps_the_version_of_earlier_releases() -> None:
    assert policy(EARLIER).version == "0b6ee46bda1e1165"
    assert policy(EARLIER).with_lists({"blocked": {}}).version == "0b6ee46bda1e1165"


def test_a_list_that_is_managed_is_another_version_than_one_without_entries() -> None:
    unmanaged = LISTS.replace("watched: {managed: true}", "watched: {}")
    assert policy(unmanaged).version != policy().version


def test_entries_in_a_managed_list_are_refused_with_the_way_to_move_them() -> None:
    with pytest.raises(BadArtifact, match="scoring lists import --from-policy") as told:
        policy("lists:\n  blocked:\n    managed: true\n    entries: [{token: c1}]\n")
    assert "policy.yaml:14: lists.blocked" in str(told.value)
