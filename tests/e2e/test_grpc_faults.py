"""While a part is away every caller is answered; after it, decisions are full again."""

import os

import pytest

from load_tests.faults import FAULTS, Drill, drilled

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]
# The full drill is 60 seconds of 300 calls/s with deadlines of 50 ms; the machine of
# the tests is shared, so here the deadline is long and the fault the same.
SECONDS = float(os.environ.get("SCORING_DRILL_SECONDS", "3"))
PER_S = float(os.environ.get("SCORING_DRILL_PER_S", "40"))
LOSES_HISTORY = {"redis-stopped", "redis-slow", "redis-failover"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_caller_is_answered_through_a_fault(fault, model_dir, tmp_path):
    found = await drilled(
        Drill(fault, SECONDS, PER_S, deadline_s=5.0),
        tmp_path,
        {"model_dir": model_dir, "budget_ms": 4_000, "store_budget_ms": 90},
    )
    assert set(found["statuses"]) == {"OK"}, found
    assert found["full_again"]
    assert found["provisional_adopted"] == found["provisional_sampled"], found
    if fault in LOSES_HISTORY:
        assert found["provisional_sampled"] > 0, "the fault was not noticed"
