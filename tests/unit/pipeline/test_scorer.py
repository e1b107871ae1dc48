"""The pipeline, on the in-memory store: one transaction, one decision."""

import asyncio
import inspect
from dataclasses import replace

import numpy as np
import pytest
from outcomes import OUTCOMES
from store_parts import outbox_of

from scoring import wire
from scoring.core.decision.decision import DegradationCode, Door, Rung
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import load_policy
from scoring.core.policy.shipped_policy import default_policy
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.errors import (
    ModelUnavailable,
    StoreLate,
    StoreUnavailable,
    TransactionConflict,
)
from scoring.pipeline.answer import Decided
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.budget import Budget
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.check import Check
from scoring.ports.model import Scores
from scoring.ports.patience import StorePatience
from scoring.stores.memory.store import MemoryStore
from scoring.stores.spool import MemorySpool
from scoring.telemetry.prometheus import SilentTelemetry

DAY_MS = 86_400_000
NOW_MS = 1_700_000_000_000
CATALOGUE = default_catalogue()
DECLINE_ALL = """
version: 1
name: declines
thresholds: {default: {}}
rules:
  - {id: all, when: 'features.card_count_1h >= 1.0', then: decline, reason_code: FAST}
default: {reason_code: FAST}
approved: FAST
reasons: {FAST: It was used very often.}
"""


class SteadyModel:
    """A model whose margin is a fixed function of the row."""

    version = "steady"
    features_version = CATALOGUE.version
    feature_names = CATALOGUE.names
    reason_groups = ("CARD_VELOCITY",)
    broken = False
    deeper = None

    def predict(self, matrix):
        if self.broken:
            raise ModelUnavailable("planted")
        margin = np.nansum(matrix, axis=1).astype(np.float32) * np.float32(1e-12) - 4
        return Scores(
            margin=margin,
            probability=1 / (1 + np.exp(-margin)),
            contributions=np.zeros((len(matrix), 1), np.float32),
        )


class Outage:
    """A store that can be taken away: all of it, or its recording alone."""

    takes_s = 0.0

    def __init__(self, store):
        self._store = store
        self.unavailable = frozenset()

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args, **kwargs):
            if name in self.unavailable or "all" in self.unavailable:
                raise StoreUnavailable("planted")
            if name == "record" and kwargs.get("timeout_s", 1) < self.takes_s:
                await asyncio.sleep(kwargs["timeout_s"])
                raise StoreLate("planted")
            return await method(*args, **kwargs)

        return call


@pytest.fixture
def store():
    return Outage(MemoryStore(CATALOGUE, lateness_ms=DAY_MS, dedupe_ms=8 * DAY_MS))


@pytest.fixture
def model():
    return SteadyModel()


def scorer_on(store, artifacts):
    telemetry = SilentTelemetry()
    gateway = StoreGateway(store, telemetry, asyncio.get_running_loop().time)
    provisional = Provisional(gateway, MemorySpool(count_max=100), telemetry, 100)
    return Scorer(gateway, artifacts, provisional, telemetry, lambda: NOW_MS)


@pytest.fixture
async def scorer(store, model):
    artifacts = Artifacts(CATALOGUE, model, InForce(default_policy(CATALOGUE)))
    scorer = scorer_on(store, artifacts)
    yield scorer
    await scorer.provisional.close()


def check(id_="t1", *, after_ms=0, position="", **fields):
    transaction = Transaction(
        "default",
        id_,
        occurred_at_ms=NOW_MS + after_ms,
        currency="EUR",
        **({"amount_minor": 1000, "card": "card-1"} | fields),
    )
    return Check(
        transaction=transaction,
        payload_hash=payload_hash(transaction),
        received_at_ms=NOW_MS,
        door=Door.KAFKA if position else Door.GRPC,
        position=position,
    )


async def only(scorer, *args, **kwargs):
    (answer,) = await scorer.score_many([check(*args, **kwargs)])
    return answer


def core_of(decided):
    return wire.decision_from_bytes(decided.decision).core


def feature(decided, name):
    return core_of(decided).features[CATALOGUE.names.index(name)]


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_first_check_is_decided_in_full_and_is_ours_to_log(scorer):
    decided = await only(scorer)
    assert decided.first
    assert core_of(decided).rung == Rung.FULL
    assert not core_of(decided).degradations
    assert core_of(decided).reasons
    assert wire.decision_part(decided.logged) == decided.decision


async def test_a_repeat_returns_the_stored_bytes_and_logs_nothing(scorer):
    first = await only(scorer)
    repeat = await only(scorer)
    assert repeat.decision == first.decision
    assert not repeat.first
    assert repeat.logged is None


async def test_the_same_id_with_another_payload_is_a_conflict_and_counts_nothing(
    scorer,
):
    await only(scorer)
    assert (await only(scorer, amount_minor=9)).differing == ("amount_minor",)
    assert (await only(scorer, card="card-2")).differing == ("card",)
    later = await only(scorer, "t2", after_ms=1000, card="card-2")
    assert feature(later, "card_count_1h") == 1


async def test_the_same_transaction_twice_in_a_batch_is_decided_once(scorer):
    one, other, third = await scorer.score_many(
        [check(), check(), check(amount_minor=9)]
    )
    assert one.decision == other.decision
    assert [one.first, other.first] == [True, False]
    assert isinstance(third, TransactionConflict)


async def test_transactions_of_one_batch_see_each_other_in_order(scorer):
    answers = await scorer.score_many(
        [check("t1"), check("t2", after_ms=1), check("t3", after_ms=2)]
    )
    assert [feature(answer, "card_count_1h") for answer in answers] == [1, 2, 3]


async def test_a_dry_run_decides_and_leaves_nothing_behind(scorer):
    rehearsed = replace(check(), dry_run=True)
    (dry,) = await scorer.score_many([rehearsed])
    assert dry.logged is None
    real = await only(scorer)
    assert real.first
    assert feature(real, "card_count_1h") == feature(dry, "card_count_1h") == 1


async def test_a_payment_that_comes_too_late_is_decided_and_says_so(scorer):
    await only(scorer, "newest", after_ms=2 * DAY_MS)
    late = await only(scorer, "late")
    (told,) = core_of(late).degradations
    assert told.code == DegradationCode.TOO_LATE
    assert core_of(late).rung == Rung.FULL


async def test_a_redelivered_record_is_logged_again_and_a_copy_of_it_is_not(scorer):
    first = await only(scorer, position="transactions/0@7")
    redelivered = await only(scorer, position="transactions/0@7")
    copy = await only(scorer, position="transactions/0@8")
    assert redelivered.logged == first.logged
    assert copy.decision == first.decision
    assert copy.logged is None


async def test_without_the_store_the_answer_is_flagged_degraded_and_provisional(
    scorer, store
):
    store.unavailable = {"all"}
    decided = await only(scorer)
    core = core_of(decided)
    assert decided.provisional
    assert core.provisional
    assert core.rung == Rung.WITHOUT_HISTORY
    assert core.degradations[0].code == DegradationCode.HISTORY_UNAVAILABLE
    assert decided.logged is not None
    assert np.isnan(feature(decided, "card_count_1h"))


async def test_repeats_of_a_provisional_answer_get_its_bytes_or_a_conflict(
    scorer, store
):
    store.unavailable = {"all"}
    first = await only(scorer)
    assert (await only(scorer)).decision == first.decision
    assert (await only(scorer, amount_minor=9)).differing == ("amount_minor",)


async def test_when_the_store_is_back_provisional_answers_become_the_record(
    scorer, store
):
    store.unavailable = {"all"}
    given = await only(scorer)
    store.unavailable = frozenset()
    await until(lambda: scorer.provisional.store_available)
    assert await store.decisions([("default", "t1")]) == [wire.recorded(given.decision)]
    later = await only(scorer, "t2", after_ms=1000)
    assert not later.provisional
    assert feature(later, "card_count_1h") == 2


async def test_an_answer_that_could_not_be_recorded_is_logged_only_by_reconciliation(
    scorer, store
):
    store.unavailable = {"record", "ping"}
    given = await only(scorer)
    codes = [degradation.code for degradation in core_of(given).degradations]
    assert codes == [DegradationCode.NOT_RECORDED]
    assert given.provisional
    assert given.logged is None
    store.unavailable = frozenset()
    await until(lambda: scorer.provisional.count == 0)
    ((_, id_, logged),) = await outbox_of(store)
    assert id_ == "t1"
    assert wire.decision_part(logged) == given.decision


async def test_a_door_that_waits_gets_the_failure_instead_of_a_degraded_answer(
    scorer, store
):
    scorer.gateway.patience = StorePatience.WAIT
    store.unavailable = {"all"}
    with pytest.raises(StoreUnavailable):
        await scorer.score_many([check()])
    store.unavailable = frozenset()
    await until(lambda: scorer.provisional.store_available)
    (decided,) = await scorer.score_many([check()])
    assert not decided.provisional


async def test_a_check_out_of_time_is_degraded_and_takes_no_other_along(scorer):
    now = scorer.gateway.monotonic()
    late = replace(check("late"), deadline=now - 1)
    timely = replace(check("timely"), deadline=now + 5)
    degraded, full = await scorer.score_many([late, timely])
    assert core_of(degraded).degradations[0].code == DegradationCode.OUT_OF_TIME
    assert core_of(full).rung == Rung.FULL


async def test_one_who_is_late_makes_nobody_elses_answer_provisional(scorer, store):
    store.takes_s, scorer.gateway.budget = 0.05, Budget(store_s=1)
    now = scorer.gateway.monotonic()
    answers = await scorer.score_many(
        [
            replace(check(f"t{left_s}"), deadline=now + left_s)
            for left_s in (-1, 0.04, 5)
        ]
    )
    assert [answer.provisional for answer in answers] == [True, True, False]


async def test_a_repeat_without_time_logs_nothing_and_reconciliation_finds_what_stands(
    scorer, store
):
    first = await only(scorer)
    late = replace(check(), deadline=scorer.gateway.monotonic() - 1)
    (repeat,) = await scorer.score_many([late])
    assert (repeat.provisional, repeat.first, repeat.logged) == (True, False, None)
    while scorer.provisional.count:
        await asyncio.sleep(0.01)
    key = (late.transaction.tenant, late.transaction.id)
    assert await store.decisions([key]) == [first.decision]


async def test_two_payloads_of_one_id_in_one_pass_without_the_store_are_a_conflict(
    scorer, store
):
    store.unavailable = {"all"}
    first, second, again = await scorer.score_many(
        [check(), check(amount_minor=1), check()]
    )
    assert first.provisional
    assert isinstance(second, TransactionConflict)
    assert again.decision == first.decision
    assert again.logged is None


async def test_without_the_model_the_policy_decides_alone(scorer, model):
    model.broken = True
    core = core_of(await only(scorer))
    assert core.rung == Rung.DEFAULT
    assert not core.HasField("score")
    assert core.reasons


async def test_racing_repeats_agree_on_one_decision(scorer):
    answers = await asyncio.gather(*(only(scorer) for _ in range(20)))
    assert len({answer.decision for answer in answers}) == 1
    assert sum(isinstance(a, Decided) and a.first for a in answers) == 1


async def test_where_nothing_is_published_nothing_is_put_into_the_outbox(scorer, store):
    scorer = replace(scorer, options=DoorOptions(outbox=False))
    await only(scorer)
    assert await outbox_of(store) == []


async def test_within_a_batch_a_payment_sees_how_the_one_before_it_was_decided(model):
    store = MemoryStore(OUTCOMES, lateness_ms=DAY_MS, dedupe_ms=8 * DAY_MS)
    policy = load_policy(DECLINE_ALL, catalogue=OUTCOMES, name="declines.yaml")
    scorer = scorer_on(store, Artifacts(OUTCOMES, model, InForce(policy)))
    batch = [check(f"t{i}", card="c1", after_ms=i) for i in range(3)]
    answers = await scorer.score_many(batch)
    place = OUTCOMES.names.index("card_declined_1h")
    cores = [wire.decision_from_bytes(answer.decision).core for answer in answers]
    assert [core.features[place] for core in cores] == [0, 1, 2]
