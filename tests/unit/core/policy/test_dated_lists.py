"""Each payment of a replay meets the lists of its own time."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from small_policy import SMALL
from streams import PAID

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.dated_lists import DatedList, DatedLists
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import load_policy
from scoring.core.release.list_release import token_hash

LISTED = """lists:
  stolen: {field: card, then: decline, reason_code: BLOCKED, managed: true}
"""
POLICY = load_policy(SMALL + LISTED, catalogue=default_catalogue(), name="p.yaml")
times = st.integers(0, 9)
tokens = st.sampled_from(["c1", "c2", "c3", "c4"])


@given(st.dictionaries(tokens, st.tuples(times, times)), tokens, times)
def test_a_token_is_listed_from_when_it_was_added_until_it_expires(held, token, at):
    dated = DatedList.of((token_hash(t), *span) for t, span in held.items())
    since, until = held.get(token, (0, 0))
    assert (dated.as_of(at).get(token, 0) > at) == (since <= at < until)


def test_an_arrangement_with_dated_lists_decides_each_payment_by_those_of_its_time():
    row = (token_hash("c1"), 2_000, 3_000)
    lists = DatedLists(7, {"stolen": DatedList.of([row])})
    force = InForce(POLICY, lists_revision=7, dated=lists)
    assert force.sole is None  # no one policy decides every payment
    outcomes = []
    for at_ms in (1_999, 2_000, 2_999, 3_000):
        payment = replace(PAID, card="c1", occurred_at_ms=at_ms)
        evidence = Evidence(vector=None, probability=0.01)
        policy = force.of(payment)
        outcomes.append(decide(payment, b"", policy=policy, evidence=evidence).outcome)
    assert outcomes == [
        *(Outcome.APPROVE, Outcome.DECLINE, Outcome.DECLINE, Outcome.APPROVE)
    ]


def test_what_a_payment_lacks_is_on_no_list():
    assert DatedList.of([(token_hash(""), 0, 9)]).as_of(5).get("", 0) == 0
