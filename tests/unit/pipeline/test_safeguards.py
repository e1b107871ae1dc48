"""The breaker and the let-through sample in the pipeline, over two replicas."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from safeguards_parts import (
    CATALOGUE,
    NOW_MS,
    SAMPLE,
    Counting,
    Quiet,
    Replica,
    check_of,
    exchanged,
    outcomes,
    policy,
)
from small_policy import LARGE
from streams import DAY_MS

from scoring import wire
from scoring.core.decision.decision import Outcome
from scoring.core.policy.breaker import BUCKET_MS, HOUR_MS, WHOLE
from scoring.core.policy.in_force import InForce, trip_name
from scoring.core.transaction.transaction import Transaction
from scoring.errors import StoreUnavailable
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.events import Event
from scoring.ports.tallies import TallyAsk
from scoring.stores.memory.store import MemoryStore
from scoring.stores.memory.tallies import MemoryTallies
from scoring.stores.spool import MemorySpool


@pytest.fixture
def store():
    return MemoryStore(CATALOGUE, lateness_ms=DAY_MS, dedupe_ms=8 * DAY_MS)


@pytest.fixture
async def replica(store):
    made = []

    def on(in_force: InForce) -> Replica:
        telemetry = Counting()
        gateway = StoreGateway(store, telemetry, asyncio.get_running_loop().time)
        spool = MemorySpool(count_max=100)
        provisional = Provisional(gateway, spool, telemetry, 100)
        own = Replica(None, telemetry)  # type: ignore[arg-type]
        artifacts = Artifacts(CATALOGUE, Quiet(), in_force)
        own.scorer = Scorer(
            gateway, artifacts, provisional, telemetry, lambda: own.now_ms
        )
        made.append(own)
        return own

    yield on
    for own in made:
        await own.scorer.provisional.close()


# The breaker ---------------------------------------------------------------------


async def test_a_rule_that_declines_everything_is_stopped_in_every_replica(replica):
    one, two = (replica(InForce(policy())) for _ in range(2))
    await exchanged(one, two)
    await one.pays(30, prefix="a")
    await two.pays(30, prefix="b")
    await exchanged(one, two, one)
    for own in (one, two):
        assert set(outcomes(await own.pays(5, prefix=f"x{id(own)}"))) == {
            Outcome.APPROVE
        }
        assert [t.rule for t in own.scorer.breaker.holding] == ["large", WHOLE]
    assert one.telemetry.events.count(Event.BREAKER_TRIPPED) == 2
    trip = one.scorer.breaker.holding[0]
    assert (trip.declines, trip.decisions, trip.at_ms) == (60, 60, NOW_MS)
    blocked = await one.pays(3, prefix="l", card="c9")
    assert set(outcomes(blocked)) == {Outcome.DECLINE}, "a list is never stopped"


async def test_where_few_pay_a_rule_is_stopped_as_soon(replica):
    own = replica(InForce(policy()))
    await exchanged(own)
    for minute in range(50):  # never fifty declines in five minutes
        own.now_ms = NOW_MS + minute * 60_000
        await own.pays(1, at_ms=own.now_ms, prefix=f"m{minute}-")
        await exchanged(own)
    assert [t.rule for t in own.scorer.breaker.holding] == ["large", WHOLE]


async def test_the_hit_of_a_stopped_rule_says_that_it_was_shadow(replica):
    own = replica(InForce(policy()))
    await exchanged(own)
    await own.pays(60)
    await exchanged(own)
    (answer,) = await own.pays(1, prefix="x")
    core = wire.decision_from_bytes(answer.decision).core
    assert [(h.rule, h.mode) for h in core.rule_hits] == [("large", 2)]


async def test_a_new_replica_begins_with_what_had_tripped(replica):
    own = replica(InForce(policy()))
    await exchanged(own)
    await own.pays(60)
    await exchanged(own)
    restarted = replica(InForce(policy()))
    await exchanged(restarted)
    assert set(outcomes(await restarted.pays(3, prefix="x"))) == {Outcome.APPROVE}


@pytest.mark.parametrize(
    "told", [b"{", b"[]", b"\xff", b'{"policy": "p"}', b'{"at_ms": Infinity}']
)
async def test_what_tripped_is_held_back_where_it_cannot_be_read_when(
    replica, store, told
):
    own = replica(InForce(policy()))
    tripped = trip_name(policy().version, "large", {})
    await store.tallies.trip({tripped: told})
    await exchanged(own)
    assert [trip.rule for trip in own.scorer.breaker.holding] == ["large"]
    assert outcomes(await own.pays(1)) == [Outcome.APPROVE]


async def test_a_person_arms_it_again_and_it_counts_from_nothing(replica):
    own = replica(InForce(policy()))
    await exchanged(own)
    await own.pays(60)
    await exchanged(own)
    artifacts = own.scorer.artifacts
    armed = replace(artifacts.in_force, rearmed={"large": 1, WHOLE: 1})
    own.scorer.artifacts = replace(artifacts, in_force=armed)
    assert set(outcomes(await own.pays(40, prefix="x"))) == {Outcome.DECLINE}
    await exchanged(own)
    assert own.scorer.breaker.holding == ()
    assert set(outcomes(await own.pays(20, prefix="y"))) == {Outcome.DECLINE}
    await exchanged(own)
    assert [t.rule for t in own.scorer.breaker.holding] == ["large", WHOLE]


async def test_a_new_version_of_the_file_is_armed(replica):
    own = replica(InForce(policy()))
    await exchanged(own)
    await own.pays(60)
    await exchanged(own)
    artifacts = own.scorer.artifacts
    corrected = policy(LARGE.replace("> 1000", "> 900000"))
    other = replace(artifacts.in_force, policy=corrected)
    own.scorer.artifacts = replace(artifacts, in_force=other)
    assert own.scorer.artifacts.in_force.held == ()
    swapped = InForce(policy())  # by who did not carry over what had tripped
    own.scorer.artifacts = replace(artifacts, in_force=swapped)
    await exchanged(own)
    assert len(own.scorer.breaker.holding) == 2


async def test_the_share_of_the_same_hour_of_other_days_is_what_is_usual(
    replica, store
):
    hour = NOW_MS // HOUR_MS
    counts = {}
    for guard in policy().guards.values():
        counts |= {f"n/{guard.key}": 10_000, f"d/{guard.key}": 3_000}
    days = {hour - 24 * day: counts for day in (7, 3, 1)}
    other = {hour - 23: {name: 10**6 for name in counts if name[0] == "d"}}
    await store.tallies.tally(TallyAsk(hours=days | other))
    own = replica(InForce(policy()))
    await exchanged(own)
    await own.pays(60)
    await own.pays(40, amount=5, prefix="ok")  # 60 %, of a rule that has 30 %
    await exchanged(own)
    assert own.scorer.breaker.holding == ()
    await own.pays(140, prefix="more")
    await exchanged(own)
    assert [t.rule for t in own.scorer.breaker.holding] == ["large", WHOLE]


async def test_late_payments_do_not_speak_for_now(replica):
    live, late = (replica(InForce(policy())) for _ in range(2))
    await exchanged(live, late)
    await live.pays(20, amount=5, prefix="ok")
    await exchanged(live)
    await late.pays(80, at_ms=NOW_MS - 3_600_000, prefix="late")
    await exchanged(late, live, late, live)
    assert live.scorer.breaker.holding == late.scorer.breaker.holding == ()


async def test_a_time_to_come_does_not_blind_the_breaker(replica):
    own = replica(InForce(policy()))
    await exchanged(own)
    await own.pays(1, at_ms=NOW_MS + 20 * BUCKET_MS, prefix="ahead")
    await own.pays(60)
    await exchanged(own)
    assert len(own.scorer.breaker.holding) == 2


async def test_without_the_store_nothing_is_counted_and_what_tripped_stays(
    replica, monkeypatch
):
    own = replica(InForce(policy()))
    await exchanged(own)
    await own.pays(60)
    await exchanged(own)

    async def away(*_args, **_options):
        raise StoreUnavailable("planted")

    monkeypatch.setattr(MemoryTallies, "tally", away)
    await own.pays(60, prefix="x")
    await exchanged(own)
    assert len(own.scorer.breaker.holding) == 2
    assert own.scorer.breaker._counted == {}


async def test_repeats_and_dry_runs_are_not_counted(replica):
    own = replica(InForce(policy()))
    await exchanged(own)
    for _ in range(3):
        await own.pays(30)
    t = Transaction("shop", "dry", occurred_at_ms=NOW_MS, amount_minor=5_000, card="c")
    await own.scorer.score_many([check_of(t, dry_run=True)] * 40)
    await exchanged(own)
    assert own.scorer.breaker.holding == ()


async def test_of_two_arms_only_the_one_that_declines_too_much_is_stopped(replica):
    good = policy(LARGE.replace("> 1000", "> 900000"))
    own = replica(InForce(good, policy(), 0.5))
    await exchanged(own)
    await own.pays(200)
    await exchanged(own)
    bad = policy().version
    held = own.scorer.artifacts.in_force.held
    assert held == (trip_name(bad, "large", {}), trip_name(bad, WHOLE, {}))
    cores = [wire.decision_from_bytes(a.decision).core
             for a in await own.pays(50, prefix="x")]  # fmt: skip
    assert {core.versions.policy for core in cores} == {good.version}


# The sample ------------------------------------------------------------------------


async def test_a_share_of_would_be_declines_is_approved_and_flagged(replica):
    own = replica(InForce(policy(LARGE + SAMPLE)))
    answers = await own.pays(100, amount=1_500)
    cores = [wire.decision_from_bytes(a.decision).core for a in answers]
    through = [core for core in cores if core.HasField("let_through")]
    assert {core.outcome for core in through} == {Outcome.APPROVE}
    assert {core.let_through for core in through} == {0.5}
    assert {core.reasons[0].code for core in through} == {"LET_THROUGH"}
    assert {core.outcome for core in cores if core not in through} == {Outcome.DECLINE}
    # What is left must cover the largest: 12 of 1,500 leave less than 2,000.
    assert len(through) == 13
    assert own.telemetry.events.count(Event.LET_THROUGH) == 13
    assert own.telemetry.events.count(Event.LET_THROUGH_UNPAID) > 20
    assert outcomes(await own.pays(100, amount=1_500)) == outcomes(answers)


async def test_replicas_share_the_budget_and_what_one_reserved_dies_with_it(replica):
    spent = 0
    for i in range(8):
        own = replica(InForce(policy(LARGE + SAMPLE)))
        answers = await own.pays(4, amount=1_500, prefix=f"r{i}/")
        spent += 1_500 * outcomes(answers).count(Outcome.APPROVE)
    assert 0 < spent <= 20_000
    other = replica(InForce(policy(LARGE + SAMPLE)))
    assert Outcome.APPROVE not in outcomes(await other.pays(50, amount=1_500))
    tomorrow = await other.pays(
        20, amount=1_500, at_ms=NOW_MS + DAY_MS // 2, prefix="n"
    )
    assert Outcome.APPROVE in outcomes(tomorrow), "each day has its own"


async def test_a_store_that_forgot_what_was_reserved_lets_none_through(replica, store):
    one, two = (replica(InForce(policy(LARGE + SAMPLE))) for _ in range(2))
    assert Outcome.APPROVE in outcomes(await one.pays(2, amount=1_500, prefix="c"))
    store.tallies = MemoryTallies()
    through = outcomes(await one.pays(40, amount=1_500)).count(Outcome.APPROVE)
    assert through <= 2, "of what it had reserved before"
    # Whoever sees it tells the others.
    assert Outcome.APPROVE not in outcomes(await two.pays(40, amount=1_500, prefix="o"))


async def test_without_the_store_none_is_let_through(replica, monkeypatch):
    own = replica(InForce(policy(LARGE + SAMPLE)))

    async def away(*_args, **_options):
        raise StoreUnavailable("planted")

    monkeypatch.setattr(MemoryTallies, "reserve", away)
    assert set(outcomes(await own.pays(40, amount=1_500))) == {Outcome.DECLINE}


async def test_lists_large_amounts_and_dry_runs_are_never_let_through(replica):
    own = replica(InForce(policy(LARGE + SAMPLE)))
    declined = await own.pays(40, amount=1_500, card="c9")
    declined += await own.pays(40, amount=2_001, prefix="big")
    t = Transaction("shop", "d", occurred_at_ms=NOW_MS, amount_minor=1_500, card="c",
                    currency="EUR")  # fmt: skip
    dry = [replace(t, id=f"d{i}") for i in range(40)]
    declined += await own.scorer.score_many([check_of(t, dry_run=True) for t in dry])
    assert set(outcomes(declined)) == {Outcome.DECLINE}
