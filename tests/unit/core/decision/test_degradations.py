"""Each degradation is declared once: its number, the rung it leaves, whose it is."""

import pytest

from scoring.core.decision.decision import (
    Arm,
    ComputeTarget,
    Degradation,
    DegradationCode,
    Door,
    Outcome,
    ReasonSource,
    RuleMode,
    Rung,
    SecondLook,
    rung_of,
)
from scoring.core.policy.policy_file import Fallback, degradation
from scoring.v1 import decision_pb2
from scoring.wire import schemas

CLOSED_SETS = [
    Outcome, Rung, DegradationCode, ReasonSource, RuleMode, ComputeTarget, SecondLook,
    Door, Arm,
]  # fmt: skip
CODES = [code for code in DegradationCode if code]


def prefixed(name: str) -> str:
    """DegradationCode as the contract's members begin: DEGRADATION_CODE."""
    return "".join(f"_{c}" if c.isupper() else c.upper() for c in name).strip("_")


@pytest.mark.parametrize("declared", CLOSED_SETS, ids=lambda kind: kind.__name__)
def test_a_closed_set_has_the_members_of_the_contract(declared):
    told = decision_pb2.DESCRIPTOR.enum_types_by_name[declared.__name__]
    prefix = prefixed(declared.__name__)
    contract = {value.name: value.number for value in told.values}
    assert {f"{prefix}_{member.name}": int(member) for member in declared} == contract


def test_every_closed_set_of_a_decision_is_held_to_the_contract():
    told = set(decision_pb2.DESCRIPTOR.enum_types_by_name)
    assert told == {declared.__name__ for declared in CLOSED_SETS}


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_degradation_says_which_rung_it_leaves(code):
    assert code.rung in Rung
    assert code.rung is not Rung.UNSPECIFIED
    assert rung_of((Degradation(code),)) is code.rung


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_a_policy_may_say_what_to_do_for_a_degradation(code):
    name = code.name.lower()
    assert Fallback(degradation=name, then="score").degradation == (name,)
    assert degradation(name) is code


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_the_docs_say_what_a_degradation_means(code):
    line = next(
        line
        for line in schemas.degradations_page().decode().splitlines()
        if line.startswith(f"| `{code.name}` |")
    )
    *_, meaning, _ = line.split("|")
    assert len(meaning.split()) > 2


def test_the_worst_that_was_missing_says_the_rung():
    both = (DegradationCode.HISTORY_PARTIAL, DegradationCode.MODEL_UNAVAILABLE)
    assert rung_of(tuple(map(Degradation, both))) is Rung.RULES_ONLY
    assert rung_of(tuple(map(Degradation, reversed(both)))) is Rung.RULES_ONLY
