"""The breaker in the Handbook's world: it stops what goes wrong, and nothing else.

SCORING_BREAKER_DAYS=90 runs the long form. Needs the Handbook's data, as
SCORING_HANDBOOK_DATA names it; without it these tests are skipped.
"""

from __future__ import annotations

import os

import pytest
from handbook_world import CATALOGUE, DAY_MS, HandbookWorld, planted, watched
from ten_rules import PLANTED, REASONS, RULES

from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.shipped_policy import shipped_text

DAYS = int(os.environ.get("SCORING_BREAKER_DAYS", "2"))
FIRST_DAY = 40
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def world(handbook_data, tmp_path_factory):
    return HandbookWorld.of(
        handbook_data / "fdh_raw.parquet",
        tmp_path_factory.mktemp("world"),
        first_day=FIRST_DAY,
        days=DAYS,
        warm_days=30 if DAYS > 7 else 1,  # the longest window of a feature is 30
    )


def policy(rules: str) -> Policy:
    """The shipped policy with rules of the Handbook's world before its own."""
    text = shipped_text().replace("\nrules:\n", "\nrules:\n" + rules.lstrip("\n"))
    text = text.replace("\nreasons:\n", "\nreasons:\n" + REASONS.lstrip("\n"))
    return load_policy(text, catalogue=CATALOGUE, name="of the Handbook")


# So many worlds at once: as many times as many payments in five minutes.
COPIES = [1, 10] if DAYS >= 10 else [1]
HOURS = [3, 8, 12, 18, 22] if DAYS >= 10 else [3, 12]


@pytest.mark.timeout(7_200)  # of the long form
@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("rules", ["", RULES], ids=["shipped", "ten rules"])
async def test_nothing_trips_that_declines_as_it_always_does(world, rules, copies):
    watch, count = await watched(world, policy(rules), copies=copies)
    print(f"{count} payments of {DAYS} days, {len(watch.breaker.trips)} trips")
    assert watch.breaker.trips == {}


@pytest.mark.parametrize("hour", HOURS)
async def test_a_rule_that_declines_everything_is_stopped_at_any_hour(world, hour):
    at_ms = world.payments[0].occurred_at_ms // DAY_MS * DAY_MS
    at_ms += (DAYS - 2) * DAY_MS + hour * HOUR_MS
    before, after = policy(RULES), policy(RULES + PLANTED)
    declined, took_ms = await planted(world, before, after, at_ms)
    print(f"{declined} payments declined in {took_ms / 1_000:.0f} s")
    assert declined <= 200 or took_ms <= 10_000
