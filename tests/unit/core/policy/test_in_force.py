"""Which policy decides a payment, and which payments a share holds."""

from dataclasses import replace

from streams import PAID

from scoring.core.decision.decision import Arm
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.breaker import WHOLE
from scoring.core.policy.in_force import InForce, trip_name
from scoring.core.policy.rollout import point_of
from scoring.core.policy.shipped_policy import default_policy

POLICY = default_policy(default_catalogue())
CANDIDATE = replace(POLICY, version="candidate")
PAYMENTS = [replace(PAID, id=f"t{i}", payment_id=f"p{i}") for i in range(2_000)]


def taken(share):
    force = InForce(POLICY, CANDIDATE, share)
    return {t.id for t in PAYMENTS if force.of(t).version == "candidate"}


def test_without_a_candidate_the_policy_decides_every_payment():
    force = InForce(POLICY, None, 1.0)
    assert all(force.of(t) is POLICY for t in PAYMENTS)


def test_a_share_of_nothing_is_nothing_and_of_all_is_all():
    assert taken(0.0) == set()
    assert len(taken(1.0)) == len(PAYMENTS)


def test_raising_the_share_keeps_every_payment_that_it_held():
    assert taken(0.05) < taken(0.3) < taken(0.9)
    assert 500 < len(taken(0.3)) < 700


def test_every_attempt_of_a_payment_is_decided_by_one_policy():
    attempts = [replace(PAID, id=f"a{i}", payment_id="p", attempt=i) for i in range(9)]
    assert len({point_of(t, "v") for t in attempts}) == 1


def test_payments_of_two_tenants_lie_apart():
    other = replace(PAYMENTS[0], tenant="other")
    assert point_of(other, "v") != point_of(PAYMENTS[0], "v")


def test_a_decision_knows_its_arm_where_there_are_two():
    force = InForce(POLICY, CANDIDATE, 0.5)
    arms = {(p.version, p.arm) for p in map(force.of, PAYMENTS)}
    assert arms == {(POLICY.version, Arm.CURRENT), ("candidate", Arm.CANDIDATE)}
    assert InForce(POLICY).of(PAID).arm is Arm.UNSPECIFIED


def test_a_candidate_that_tripped_as_a_whole_gets_no_payment():
    force = InForce(POLICY, CANDIDATE, 1.0)
    name = trip_name("candidate", WHOLE, {})
    stopped = replace(force, tripped=frozenset({name}))
    assert {stopped.of(t).version for t in PAYMENTS} == {POLICY.version}
    assert stopped.held == (name,)


def test_what_tripped_is_held_back_through_every_swap_until_it_is_armed_again():
    name = trip_name(POLICY.version, WHOLE, {})
    held = InForce(POLICY, tripped=frozenset({name}))
    assert held.of(PAID).cuts != POLICY.cuts
    swapped = replace(held, lists_revision=7)
    assert swapped.held == (name,)
    armed = replace(swapped, rearmed={WHOLE: 1_000})
    assert (armed.held, armed.of(PAID)) == ((), POLICY)
    other = replace(swapped, policy=replace(POLICY, version="next"))
    assert other.held == ()


def test_what_tripped_in_one_arm_does_not_stop_the_other():
    name = trip_name("candidate", "card_testing", {})
    rule = next(iter(POLICY.guards))
    force = InForce(POLICY, CANDIDATE, 0.5, tripped=frozenset({name}))
    assert rule in POLICY.guards
    assert force.held in ((), (name,))
    current = next(p for p in map(force.of, PAYMENTS) if p.arm is Arm.CURRENT)
    assert current.asks == POLICY.asks
