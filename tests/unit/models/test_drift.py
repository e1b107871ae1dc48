"""Scores and features that move away from the training rows are seen."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from grpc_parts import open_door, payment
from prometheus_client import CollectorRegistry
from small_model import RECIPE, small_catalogue, small_dataset

from scoring.errors import StoreUnavailable
from scoring.models.drift import ROWS_MAX, ROWS_MIN, ModelDrift
from scoring.models.onnx_model import load_model
from scoring.pipeline.follow_ups import FollowUps
from scoring.ports.follow_ups import LabelledTransaction
from scoring.telemetry.prometheus import PrometheusTelemetry
from scoring.training.build import train_on
from scoring.wire import transaction_from_proto


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "small"
    train_on(small_dataset(), out, catalogue=small_catalogue(), recipe=RECIPE)
    return load_model(out)


def watching(model, now_s=lambda: 0.0):
    drift = ModelDrift(now_s)
    drift.expect(model.version, model.feature_names, model.baseline)
    return drift


def gauges(drift):
    """{(metric, feature or None): value} of one scrape."""
    return {
        (sample.name, sample.labels.get("feature")): sample.value
        for metric in drift.collect()
        for sample in metric.samples
    }


def feed(drift, model, matrix, batch=100):
    for start in range(0, len(matrix), batch):
        rows = matrix[start : start + batch]
        drift.seen(model.version, rows, model.predict(rows).probability)


def test_rows_like_those_of_the_training_have_moved_nowhere(model):
    drift = watching(model)
    feed(drift, model, small_dataset(4_000, seed=9).matrix)
    found = gauges(drift)
    assert found["fraud_model_rows", None] == 4_000
    assert found["fraud_score_stability", None] < 0.05
    for name in model.feature_names:
        assert found["fraud_feature_stability", name] < 0.05
        assert abs(found["fraud_feature_missing_share", name]) < 0.03


def test_a_feature_that_moved_is_named_and_the_score_moves_with_it(model):
    drift = watching(model)
    matrix = small_dataset(4_000, seed=9).matrix
    matrix[:, 0] += 2
    feed(drift, model, matrix)
    found = gauges(drift)
    moved = {n for n in model.feature_names if found["fraud_feature_stability", n] > 1}
    assert moved == {"amount"}
    assert found["fraud_score_stability", None] > 0.25


def test_a_feature_that_goes_missing_is_named_and_does_not_count_as_moved(model):
    drift = watching(model)
    matrix = small_dataset(4_000, seed=9).matrix
    matrix[::2, 3] = np.nan
    feed(drift, model, matrix)
    found = gauges(drift)
    assert found["fraud_feature_missing_share", "latitude"] == pytest.approx(
        0.48, abs=0.04
    )
    assert found["fraud_feature_missing_share", "hour"] < 0.03
    assert found["fraud_feature_stability", "latitude"] < 0.05


def test_a_feature_that_is_missing_everywhere_has_no_stability(model):
    drift = watching(model)
    matrix = small_dataset(2_000, seed=9).matrix
    matrix[:, 3] = np.nan
    feed(drift, model, matrix)
    assert np.isnan(gauges(drift)["fraud_feature_stability", "latitude"])


def test_few_rows_say_nothing_yet(model):
    drift = watching(model)
    feed(drift, model, small_dataset(ROWS_MIN - 1, seed=9).matrix)
    assert gauges(drift) == {("fraud_model_rows", None): ROWS_MIN - 1}


def test_of_more_rows_than_are_kept_the_latest_are_counted(model):
    drift = watching(model)
    matrix = small_dataset(ROWS_MAX + 500, seed=9).matrix
    feed(drift, model, matrix, batch=len(matrix))
    assert gauges(drift)["fraud_model_rows", None] == ROWS_MAX
    feed(drift, model, matrix, batch=700)
    assert gauges(drift)["fraud_model_rows", None] <= 2 * ROWS_MAX


def test_what_happened_a_day_ago_is_forgotten(model):
    hours = iter(range(0, 26 * 3_600, 3_600))
    drift = watching(model, now_s=lambda: float(next(hours)))
    feed(drift, model, small_dataset(2_000, seed=9).matrix)
    rows = [gauges(drift)["fraud_model_rows", None] for _ in range(25)]
    assert rows[0] == rows[23] == 2_000
    assert rows[24] == 0


def test_rows_of_the_model_before_are_not_mixed_with_those_of_this_one(model):
    drift = watching(model)
    matrix = small_dataset(2_000, seed=9).matrix
    drift.seen("another", matrix, np.zeros(len(matrix), np.float32))
    assert gauges(drift)["fraud_model_rows", None] == 0
    feed(drift, model, matrix)
    drift.expect(model.version, model.feature_names, model.baseline)
    assert gauges(drift)["fraud_model_rows", None] == 0


def test_a_model_without_a_baseline_is_compared_with_nothing(model):
    drift = watching(model)
    drift.expect("bare", ("a",), None)
    drift.seen("bare", np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    assert gauges(drift) == {}


def test_scrapes_beside_decisions_count_every_row_once(model):
    drift = watching(model)
    matrix = small_dataset(20, seed=9).matrix
    probability = model.predict(matrix).probability
    deciding = threading.Thread(
        target=lambda: [
            drift.seen(model.version, matrix, probability) for _ in range(150)
        ]
    )
    deciding.start()
    while deciding.is_alive():
        gauges(drift)
    deciding.join()
    assert gauges(drift)["fraud_model_rows", None] == 3_000


async def test_a_door_watches_what_it_scores_and_what_labels_say_of_it(model_dir):
    registry = CollectorRegistry()
    telemetry = PrometheusTelemetry(registry)
    async with open_door(model_dir) as door:
        scorer = door.service.scorer
        scorer.telemetry = telemetry
        version = scorer.artifacts.model.version
        telemetry.expect(scorer.artifacts.model)
        payments = [payment() for _ in range(3)]
        cores = [(await door.check(one)).core for one in payments]
        await door.check(payment(), dry_run=True)
        rows = registry.get_sample_value("fraud_model_rows", {"model": version})
        assert rows == 3
        labels = [
            LabelledTransaction(
                transaction=transaction_from_proto(one),
                version=1,
                fraud=fraud,
                known_at_ms=0,
            )
            for one, fraud in zip(payments, (True, False, None), strict=True)
        ]
        store = door.service.store
        await FollowUps(store, store, telemetry).tell_scores(labels)
    counted = {
        (sample.name, sample.labels.get("verdict")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name in {"fraud_labelled_total", "fraud_labelled_expected_total"}
        and sample.labels["model"] == version
    }
    expected = sum(core.score for core in cores[:2])
    assert counted["fraud_labelled_total", "fraud"] == 1
    assert counted["fraud_labelled_total", "genuine"] == 1
    assert counted["fraud_labelled_expected_total", None] == pytest.approx(expected)


class Away:
    """A store that does not answer."""

    async def decisions(self, _keys, **_limits):
        raise StoreUnavailable("away")


async def test_labels_go_uncounted_while_the_store_is_away():
    registry = CollectorRegistry()
    label = LabelledTransaction(
        transaction=transaction_from_proto(payment()),
        version=1,
        fraud=True,
        known_at_ms=0,
    )
    telemetry = PrometheusTelemetry(registry)
    await FollowUps(Away(), Away(), telemetry).tell_scores([label])
    counted = [m.samples for m in registry.collect() if m.name == "fraud_labelled"]
    assert counted == [[]]
