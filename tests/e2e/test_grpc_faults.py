"""In an outage every caller is answered; after it, decisions are full again."""

import os

import pytest

from load_tests.faults import FAULTS, Drill, drilled

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]
# The full drill is 60 seconds of 300 calls/s with deadlines of 50 ms; the machine of
# the tests is shared, so here the deadline is long and the fault the same.
SECONDS = float(os.environ.get("SCORING_DRILL_SECONDS", "3"))
PER_S = float(os.environ.get("SCORING_DRILL_PER_S", "40"))
# An outage of Kafka is long against the producer's retries; it takes a third of a run.
KAFKA_SECONDS = min(60, float(os.environ.get("SCORING_DRILL_OUTAGE_S", "4"))) / 0.3
LOSES_HISTORY = {"redis-stopped", "redis-slow", "redis-failover"}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(name, marks=[pytest.mark.kafka] if fault.kafka else [])
        for name, fault in FAULTS.items()
    ],
)
async def test_every_caller_is_answered_through_a_fault(fault, model_dir, tmp_path):
    seconds = max(SECONDS, KAFKA_SECONDS) if FAULTS[fault].kafka else SECONDS
    found = await drilled(
        Drill(fault, seconds, PER_S, deadline_s=5.0),
        tmp_path,
        {"model_dir": model_dir, "budget_ms": 4_000, "store_budget_ms": 90},
    )
    assert set(found["statuses"]) == {"OK"}, found
    assert found["full_again"]
    assert found["provisional_reconciled"] == found["provisional_sampled"], found
    if FAULTS[fault].kafka:
        told = {name: found[name] for name in found if name.startswith("log_")}
        assert told == {"log_lost": 0, "log_duplicated": 0, "log_conflicting": 0}
    if fault in LOSES_HISTORY:
        assert found["provisional_sampled"] > 0, "the fault was not noticed"
