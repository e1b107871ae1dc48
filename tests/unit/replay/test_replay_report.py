"""Two runs are equal when every transaction has the same core, and not otherwise."""

import asyncio

import pytest

from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact, Unavailable
from scoring.replay import collect
from scoring.replay.collect import Collector
from scoring.replay.pace import ReplayPace
from scoring.replay.report import compare, features_that_differ, quality_of
from scoring.replay.run import ReplayTally
from scoring.replay.screen import print_report
from scoring.tables.admission import Row
from scoring.tables.row_accounting import RowAccount
from scoring.v1 import decision_pb2


def row(number, *, fraud=False):
    transaction = Transaction(
        "default",
        f"t{number}",
        occurred_at_ms=1_522_540_800_000 + number * 1_000,
        customer=f"c{number % 7}",
    )
    return Row(transaction, fraud, 1_523_000_000_000)


def decision(number, *, score=0.1, features=(1.0, float("nan"))):
    message = decision_pb2.Decision()
    message.core.transaction_id = f"t{number}"
    message.core.outcome = decision_pb2.OUTCOME_APPROVE
    message.core.score = score
    message.core.margin = score * 10
    message.core.features.extend(features)
    return message


def written(path, decisions, *, frauds=()):
    collector = Collector(path)
    collector.expect(row(n, fraud=n in frauds) for n in range(len(decisions)))
    for one in decisions:
        collector.take(one)
    collector.close()
    return collector


def test_equal_runs_compare_equal(tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    written(first, [decision(n) for n in range(50)])
    written(second, [decision(n) for n in reversed(range(50))])
    found = compare(first, second)
    assert found.equal
    assert (found.both, found.missing, found.differing) == (50, 0, 0)


def test_one_changed_core_is_found_and_named(tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    written(first, [decision(n) for n in range(50)])
    changed = [decision(n) for n in range(50)]
    changed[33] = decision(33, score=0.4, features=(2.0, float("nan")))
    written(second, changed)
    found = compare(first, second)
    assert not found.equal
    assert found.differing == 1
    assert found.examples == ("t33",)
    assert found.score_difference_max == pytest.approx(0.3)
    assert features_that_differ(first, second, ("amount", "age")) == {"amount": 1}


def test_a_transaction_in_one_run_only_is_missing(tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    written(first, [decision(n) for n in range(50)])
    written(second, [decision(n) for n in range(49)])
    found = compare(first, second)
    assert (found.missing, found.equal) == (1, False)
    with pytest.raises(BadArtifact, match="no such file"):
        compare(first, tmp_path / "absent.parquet")


def test_quality_is_judged_against_the_truth_of_the_table(tmp_path):
    path = tmp_path / "a.parquet"
    scores = [0.9 if n in (3, 5) else n / 1_000 for n in range(40)]
    written(path, [decision(n, score=s) for n, s in enumerate(scores)], frauds=(3, 5))
    quality = quality_of(path)
    assert quality is not None
    assert (quality.auc, quality.average_precision, quality.frauds) == (1.0, 1.0, 2)
    assert quality_of(path, from_ms=2**60) is None


def test_a_decision_that_comes_twice_is_written_once(tmp_path):
    path = tmp_path / "a.parquet"
    collector = written(path, [decision(0), decision(1)])
    assert collector.decided == 2
    collector = Collector(path)
    collector.expect([row(0)])
    collector.take(decision(0))
    collector.take(decision(0))
    assert collector.decided == 1


def test_decisions_that_came_too_late_are_counted_and_said(tmp_path, capsys):
    late = decision(1)
    late.core.degradations.add(code=decision_pb2.DEGRADATION_CODE_TOO_LATE)
    late.core.degradations.add(code=decision_pb2.DEGRADATION_CODE_OUT_OF_TIME)
    collector = written(tmp_path / "a.parquet", [decision(0), late])
    assert collector.degraded == 1
    assert collector.degradations == {"too_late": 1, "out_of_time": 1}
    print_report(RowAccount(), collector, ReplayTally(), None)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 decisions came too late to be counted" in said
    assert "not those of a run in order" in said


def test_refused_rows_are_answered_too():
    collector = Collector("unused.parquet")
    collector.expect([row(0), row(1)])
    collector.refuse("t0", "currency must be an ISO 4217 code")
    collector.refuse("a stranger", "currency must be an ISO 4217 code")
    assert collector.pending == 1
    assert len(collector.refusals) == 1


async def test_waiting_for_answers_ends_when_nothing_comes_back(monkeypatch):
    monkeypatch.setattr(collect, "_STALLED_S", 0.0)
    collector = Collector("unused.parquet")
    collector.expect([row(0)])
    with pytest.raises(Unavailable, match="1 transactions are waiting"):
        await collector.until_pending(0)


async def test_waiting_for_answers_ends_with_the_last_one(tmp_path):
    collector = Collector(tmp_path / "a.parquet")
    collector.expect([row(0)])
    waiting = asyncio.ensure_future(collector.until_pending(0))
    await asyncio.sleep(0)
    collector.take(decision(0))
    await waiting
    collector.close()


async def paced(pace, instants):
    for at_ms in instants:
        await pace.ready(at_ms, rows=1)


def clock():
    now = [100.0]

    async def sleep(seconds):
        now[0] += seconds

    return now, sleep


async def test_a_rate_spreads_rows_evenly():
    now, sleep = clock()
    await paced(ReplayPace(lambda: now[0], sleep, rate=10), [0] * 21)
    assert now[0] == pytest.approx(102.0)


async def test_a_time_lapse_scales_event_time():
    now, sleep = clock()
    pace = ReplayPace(lambda: now[0], sleep, time_lapse=3_600)
    await paced(pace, [0, 1_800_000, 7_200_000])
    assert now[0] == pytest.approx(102.0)


async def test_full_speed_waits_for_nothing():
    now, sleep = clock()
    pace = ReplayPace(lambda: now[0], sleep)
    await paced(pace, [0, 10**9])
    assert now[0] == 100.0
    assert pace.rows_max(500) == 500
