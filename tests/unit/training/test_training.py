"""Training looks only at the past, and refuses what cannot teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import RECIPE, START_MS, small_catalogue, small_dataset

from scoring.core.features.catalogue import default_catalogue, handbook_catalogue
from scoring.core.model.bundle import manifest_from_json
from scoring.errors import BadArtifact
from scoring.training.build import train_on
from scoring.training.card import write_card
from scoring.training.dataset import DAY_MS, refuse_answers, refuse_leaks, split_by_time
from scoring.training.fit import Boosting
from scoring.training.losses import Losses
from scoring.training.model_trainer import Groups, ModelTrainer
from scoring.training.progress import silent
from scoring.training.simulation.simulate import World, simulate
from scoring.training.train import dataset_of, train_bundle
from scoring.training.tune import folds_of, tuned

WORLD = World(seed=5, days=16, customers=150, terminals=300, radius=15.0)


@pytest.fixture(scope="module")
def table():
    return simulate(WORLD)


@given(st.integers(0, 6), st.integers(14, 90))
@settings(deadline=None, max_examples=20)
def test_every_label_used_was_known_before_the_first_row_judged(delay_days, days):
    dataset = small_dataset(300, days=days)
    split = split_by_time(dataset, label_delay_ms=delay_days * DAY_MS)
    assert split.from_ms <= split.fitted_ms <= split.calibrated_ms
    assert split.calibrated_ms + delay_days * DAY_MS <= split.evaluated_ms
    assert split.evaluated_ms < split.until_ms


def test_a_table_shorter_than_its_label_delay_is_refused():
    with pytest.raises(BadArtifact, match="bring more than 40 days"):
        split_by_time(small_dataset(300, days=20), label_delay_ms=20 * DAY_MS)


def test_labels_of_the_judged_rows_do_not_change_the_model(tmp_path):
    dataset = small_dataset()
    split = split_by_time(dataset, label_delay_ms=0)
    judged = dataset.rows(split.evaluated_ms, split.until_ms)
    turned = replace(dataset, fraud=np.where(judged, ~dataset.fraud, dataset.fraud))
    graphs = []
    for name, rows in (("as-it-was", dataset), ("turned", turned)):
        out = tmp_path / name
        train_on(rows, out, catalogue=small_catalogue(), recipe=RECIPE)
        graphs.append((out / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1]


def relabelled(table, *, since_ms, seed):
    """The table with a tenth of its later labels turned: enough is left to learn."""
    import pyarrow as pa

    late = table["occurred_at_ms"].to_numpy() > since_ms
    fraud = table["fraud"].to_numpy(zero_copy_only=False).astype(bool)
    turned = late & (np.random.default_rng(seed).random(len(fraud)) < 0.1)
    column = table.column_names.index("fraud")
    return table.set_column(column, "fraud", pa.array(fraud ^ turned))


def scored_until(table, now_ms, *, delay_ms):
    """Features and scores up to now, by a model fitted to the same table."""
    catalogue = handbook_catalogue()
    rows = dataset_of(table, catalogue, label_delay_ms=delay_ms)
    split = split_by_time(rows, label_delay_ms=delay_ms)
    groups = Groups.from_catalogue(catalogue)
    losses = Losses.from_catalogue(catalogue)
    trainer = ModelTrainer(rows, split, groups, losses, delay_ms, seed=0, report=silent)
    model = trainer.compiled(Boosting(rounds=5, rate=0.3, depth_max=2))
    past = rows.occurred_at_ms <= now_ms
    assert past.sum() > 1_000
    return rows.matrix[past], model.platt(trainer.margins(model.booster, past))


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=3)
def test_labels_younger_than_the_delay_change_no_feature_and_no_score(table, seed):
    # Now is when the model could first serve: of the delay before it, no label is
    # known, neither to the features of any payment so far nor to the fit.
    delay_ms = 4 * DAY_MS
    original = dataset_of(table, handbook_catalogue(), label_delay_ms=delay_ms)
    now_ms = split_by_time(original, label_delay_ms=delay_ms).evaluated_ms
    young = relabelled(table, since_ms=now_ms - delay_ms, seed=seed)
    known = relabelled(table, since_ms=now_ms - 2 * delay_ms, seed=seed)
    found = [scored_until(t, now_ms, delay_ms=delay_ms) for t in (table, young, known)]
    (features, scores), (same, equal), (learned, other) = found
    assert np.array_equal(features, same, equal_nan=True)
    assert np.array_equal(scores, equal)
    # Older ones do: the test can see what it looks for.
    assert not np.array_equal(features, learned, equal_nan=True)
    assert not np.array_equal(scores, other)


@pytest.mark.parametrize(
    "name", ["scenario", "TX_FRAUD", "customer_id", "id", "seed", "label"]
)
def test_ids_and_answers_are_refused_as_features_by_name(name):
    with pytest.raises(BadArtifact, match=name):
        refuse_answers(("amount", name))


def test_no_shipped_feature_is_named_like_an_id_or_an_answer():
    refuse_answers(default_catalogue().names)
    refuse_answers(handbook_catalogue().names)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_knows_the_answer_is_refused_by_what_it_does(sign):
    dataset = small_dataset()
    dataset.matrix[:, 4] = sign * dataset.fraud
    with pytest.raises(BadArtifact, match="longitude alone separates"):
        refuse_leaks(dataset)


def test_a_feature_that_is_missing_exactly_for_fraud_is_refused():
    dataset = small_dataset()
    dataset.matrix[:, 4] = np.where(dataset.fraud, np.nan, 1.0)
    with pytest.raises(BadArtifact, match="longitude alone separates"):
        refuse_leaks(dataset)


@pytest.mark.parametrize(
    ("value", "problem"), [(False, "no fraud"), (True, "but fraud")]
)
def test_rows_of_one_class_are_refused(tmp_path, value, problem):
    dataset = small_dataset()
    one = replace(dataset, fraud=np.full(len(dataset), value))
    with pytest.raises(BadArtifact, match=problem):
        train_on(one, tmp_path / "m", catalogue=small_catalogue(), recipe=RECIPE)


def test_a_missing_column_is_named(table, tmp_path):
    with pytest.raises(BadArtifact, match="lacks the column amount_minor"):
        train_bundle(table.drop(["amount_minor"]), default_catalogue(), tmp_path / "m")


@pytest.mark.parametrize(
    ("days", "problem"), [(-1, "before its payment"), (9, "--label-delay-days")]
)
def test_labels_before_their_time_or_after_their_delay_are_refused(
    table, days, problem
):
    known_at = pc.add(table["occurred_at_ms"], days * DAY_MS)
    with pytest.raises(BadArtifact, match=problem):
        dataset_of(
            table.append_column("known_at_ms", known_at),
            handbook_catalogue(),
            label_delay_ms=7 * DAY_MS,
        )


def test_a_label_enters_features_when_the_table_says_that_it_was_known(table):
    known_at = pc.add(table["occurred_at_ms"], 7 * DAY_MS)
    told = table.append_column("known_at_ms", known_at)
    by_column, by_delay = (
        dataset_of(t, handbook_catalogue(), label_delay_ms=7 * DAY_MS)
        for t in (told, table)
    )
    assert np.array_equal(by_column.matrix, by_delay.matrix, equal_nan=True)


def test_an_id_that_stands_twice_is_refused(table):
    import pyarrow as pa

    twice = pa.concat_tables([table, table.slice(0, 1)])
    with pytest.raises(BadArtifact, match="an id occurs twice"):
        dataset_of(twice, handbook_catalogue(), label_delay_ms=0)


def test_the_table_may_come_in_any_order(table):
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    straight, mixed = (
        dataset_of(t, handbook_catalogue(), label_delay_ms=DAY_MS)
        for t in (table, shuffled)
    )
    assert np.array_equal(straight.matrix, mixed.matrix, equal_nan=True)
    assert np.array_equal(straight.fraud, mixed.fraud)
    assert np.array_equal(straight.amount_minor, mixed.amount_minor)


def test_the_card_tells_the_figures_and_draws_them(tmp_path):
    out = tmp_path / "m"
    dataset = small_dataset()
    manifest = train_on(dataset, out, catalogue=small_catalogue(), recipe=RECIPE)
    text = write_card(out, dataset).read_text()
    assert f"# Model {manifest.version}" in text
    assert f"{manifest.metrics['auc']:.4g}" in text
    for chart in out.glob("*.svg"):
        assert chart.name in text
        assert chart.read_text().startswith("<svg")
    assert len(list(out.glob("*.svg"))) == 5


def test_the_card_draws_recall_by_segment_where_the_table_tells_the_channel(
    tmp_path, table
):
    dataset = dataset_of(table, handbook_catalogue(), label_delay_ms=0)
    assert {"ecommerce", "point_of_sale"} <= set(dataset.segments.tolist())
    out = tmp_path / "m"
    train_on(dataset, out, catalogue=handbook_catalogue(), recipe=RECIPE)
    assert "recall-by-segment.svg" in write_card(out, dataset).read_text()
    assert "ecommerce" in (out / "recall-by-segment.svg").read_text()


def test_the_choice_of_settings_is_in_the_manifest_and_looks_at_no_judged_row(
    tmp_path,
):
    dataset = small_dataset()
    split = split_by_time(dataset, label_delay_ms=0)
    later = dataset.occurred_at_ms >= split.fitted_ms
    turned = replace(dataset, fraud=np.where(later, ~dataset.fraud, dataset.fraud))
    candidates = (Boosting(rounds=1, depth_max=1), Boosting(rounds=20, rate=0.2))
    span = (split.from_ms, split.fitted_ms)
    chosen, log = tuned(dataset, folds_of(dataset, span, 0), candidates=candidates)
    assert chosen == candidates[1]
    assert tuned(turned, folds_of(turned, span, 0), candidates=candidates)[1] == log
    recipe = replace(RECIPE, candidates=candidates)
    manifest = train_on(
        dataset, tmp_path / "m", catalogue=small_catalogue(), recipe=recipe
    )
    assert manifest.training.selection == log
    assert manifest.training.parameters["rounds"] == 20


def test_a_span_too_short_to_compare_settings_is_refused():
    dataset = small_dataset()
    with pytest.raises(BadArtifact, match="without --tune"):
        tuned(dataset, folds_of(dataset, (START_MS, START_MS), 0), candidates=())


def test_the_manifest_says_what_was_trained_on(tmp_path):
    out = tmp_path / "m"
    train_on(small_dataset(), out, catalogue=small_catalogue(), recipe=RECIPE)
    manifest = manifest_from_json((out / "manifest.json").read_text(), name="m")
    assert manifest.training.from_ms >= START_MS
    assert manifest.training.parameters["base_score"] == 0.5
    assert set(manifest.baseline.features) == set(manifest.feature_names)
    assert sum(manifest.baseline.score.shares) == pytest.approx(1, abs=1e-4)


def test_the_demo_trains_once_and_again_when_its_model_is_damaged(
    tmp_path, monkeypatch
):
    from scoring.training import train

    world = World(seed=5, days=16, customers=150, terminals=300, radius=15.0)
    monkeypatch.setattr(train, "DEMO_WORLD", world)
    catalogue, out = handbook_catalogue(), tmp_path / "model"
    stages = []

    def report(stage, _done):
        stages.append(stage)

    assert train.ensure_demo_model(out, catalogue, report) == out
    assert {"simulate", "features", "fit", "reasons", "judge"} <= set(stages)
    stages.clear()
    train.ensure_demo_model(out, catalogue, report)
    assert stages == []
    (out / "model.onnx").write_bytes(b"damaged")
    train.ensure_demo_model(out, catalogue, report)
    assert "fit" in stages
