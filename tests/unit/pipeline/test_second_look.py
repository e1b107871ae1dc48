"""A second look: due by the first score alone, taken where there is time."""

import asyncio
import shutil
from dataclasses import replace
from itertools import chain, repeat

import numpy as np
import pytest
from small_model import (
    RECIPE,
    changed_graph,
    rewrite,
    small_catalogue,
    small_dataset,
)

from scoring import wire
from scoring.core.decision.decision import DegradationCode, Door, Outcome, SecondLook
from scoring.core.model import bundle
from scoring.core.model.bundle import Band
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import load_policy
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.errors import BadArtifact, ModelUnavailable
from scoring.models.explainer import TreeExplainer
from scoring.models.onnx_model import load_model
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.challenger import Challenger
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.second_look import look_again
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.check import Check
from scoring.ports.model import DeeperModel
from scoring.stores.memory.store import MemoryStore
from scoring.stores.spool import MemorySpool
from scoring.telemetry.prometheus import SilentTelemetry
from scoring.training import second_look as training
from scoring.training.build import train_on
from scoring.training.fit import Boosting
from scoring.wire.shadow_decisions import judged_from_bytes

NOW_MS = 1_700_000_000_000
CATALOGUE = small_catalogue()
BAND = Band(low=0.02, high=0.3)
# Its amounts: the first score lies in the band for some, and not for the others.
AMOUNTS = [0, 1, 2, 3, 400, 5]
POLICY = """
version: 1
name: looks
thresholds: {default: {}}
fallbacks:
  - {degradation: [second_look_skipped], then: review, reason_code: IN_DOUBT}
default: {outcome: review, reason_code: IN_DOUBT}
approved: FINE
reasons: {IN_DOUBT: We could not be sure., FINE: Nothing speaks against it.}
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "both"
    larger = training.SecondLookPlan(
        boosting=Boosting(rounds=60, rate=0.1, depth_max=5), band=BAND
    )
    train_on(
        small_dataset(), out, catalogue=CATALOGUE,
        recipe=replace(RECIPE, second_look=larger),
    )  # fmt: skip
    return out


@pytest.fixture
def copy(directory, tmp_path):
    return shutil.copytree(directory, tmp_path / "copy")


@pytest.fixture(scope="module")
def model(directory):
    return load_model(directory, catalogue=CATALOGUE)


@pytest.fixture(scope="module")
def rows():
    return small_dataset(seed=9, rows=300).matrix


class Counted(SilentTelemetry):
    def __init__(self):
        self.events = {}

    def count(self, event, n=1):
        self.events[event] = self.events.get(event, 0) + n


@pytest.fixture
def scorer_of():
    def build(model, monotonic=None):
        store = MemoryStore(CATALOGUE, lateness_ms=1, dedupe_ms=1)
        telemetry = Counted()
        policy = load_policy(POLICY, catalogue=CATALOGUE, name="looks")
        artifacts = Artifacts(CATALOGUE, model, InForce(policy))
        clock = monotonic or asyncio.get_running_loop().time
        gateway = StoreGateway(store, telemetry, clock)
        provisional = Provisional(gateway, MemorySpool(count_max=10), telemetry, 10)
        return Scorer(gateway, artifacts, provisional, telemetry, lambda: NOW_MS)

    return build


def check(i, deadline=None):
    transaction = Transaction(
        "default", f"t{i}", occurred_at_ms=NOW_MS + i, currency="EUR",
        amount_minor=AMOUNTS[i], card=f"card-{i}",
    )  # fmt: skip
    return Check(
        transaction=transaction, payload_hash=payload_hash(transaction),
        received_at_ms=NOW_MS, door=Door.GRPC, deadline=deadline,
    )  # fmt: skip


CHECKS = [check(i) for i in range(len(AMOUNTS))]


async def cores(scorer, checks):
    answers = await scorer.score_many(checks)
    return [wire.decision_from_bytes(answer.decision).core for answer in answers]


def test_whether_it_is_due_is_a_function_of_the_first_score_alone(model, rows):
    first = model.predict(rows)
    together = look_again(model.deeper, rows, first)
    due = BAND.holds(first.probability)
    assert 0 < due.sum() < len(rows)
    taken = [look is SecondLook.TAKEN for look in together.looks]
    assert taken == due.tolist()
    for i in range(40):
        alone = look_again(
            model.deeper, rows[i : i + 1], model.predict(rows[i : i + 1])
        )
        assert alone.looks[0] is together.looks[i]
        assert alone.of(0).margin[0] == together.of(i).margin[i]
        assert (alone.of(0).contributions[0] == together.of(i).contributions[i]).all()


def test_a_taken_look_makes_the_score_and_the_others_keep_theirs(model, rows):
    first = model.predict(rows)
    looked = look_again(model.deeper, rows, first)
    larger = model.deeper.model.predict(rows)
    due = BAND.holds(first.probability)
    expected = np.where(due, larger.probability, first.probability)
    assert (looked.second.probability == expected).all()
    assert (looked.first.probability == first.probability).all()


async def test_the_core_says_which_look_made_the_score(model, scorer_of):
    found = await cores(scorer_of(model), CHECKS)
    looks = {SecondLook(core.second_look) for core in found}
    assert looks == {SecondLook.TAKEN, SecondLook.NOT_NEEDED}
    assert not any(core.degradations for core in found)
    for core in found:
        rows = np.array([core.features], np.float32)
        first = model.predict(rows)
        due = bool(BAND.holds(first.probability)[0])
        used = model.deeper.model.predict(rows) if due else first
        assert (core.second_look == SecondLook.TAKEN) == due
        assert core.margin == used.margin[0]


async def test_single_and_batch_give_equal_cores(model, scorer_of):
    together = await cores(scorer_of(model), CHECKS)
    alone = [core for one in CHECKS for core in await cores(scorer_of(model), [one])]
    assert alone == together


async def test_a_model_without_a_larger_one_says_that_it_has_none(model, scorer_of):
    found = await cores(scorer_of(replace(model, deeper=None)), CHECKS)
    assert {core.second_look for core in found} == {SecondLook.UNSPECIFIED}


async def test_without_time_it_is_skipped_and_the_policy_says_what_follows(
    model, scorer_of
):
    # Enough for the whole path, and not for a second look as well.
    scorer = scorer_of(model, monotonic=lambda: 0.0)
    timely = await cores(scorer_of(model), CHECKS)
    hurried = await cores(scorer, [check(i, deadline=0.004) for i in range(6)])
    for core, before in zip(hurried, timely, strict=True):
        if before.second_look != SecondLook.TAKEN:
            assert core == before
            continue
        assert core.second_look == SecondLook.SKIPPED
        (missing,) = core.degradations
        assert missing.code == DegradationCode.SECOND_LOOK_SKIPPED
        assert missing.detail == "time"
        assert core.margin == model.predict(np.array([core.features], "f4")).margin[0]
        assert (before.outcome, core.outcome) == (Outcome.APPROVE, Outcome.REVIEW)
        assert core.reasons[0].code == "IN_DOUBT"
    skipped = sum(core.second_look == SecondLook.SKIPPED for core in hurried)
    assert scorer.telemetry.events == {"second_look_skipped": skipped}
    assert skipped > 0


async def test_a_neighbour_in_a_hurry_goes_before_a_second_look(model, scorer_of):
    timely = await cores(scorer_of(model), CHECKS)
    due = next(i for i, c in enumerate(timely) if c.second_look == SecondLook.TAKEN)
    sure = next(i for i, c in enumerate(timely) if c.second_look != SecondLook.TAKEN)
    scorer = scorer_of(model, monotonic=lambda: 0.0)
    hurried, patient = await cores(
        scorer, [check(sure, deadline=0.004), check(due, deadline=9.0)]
    )
    assert hurried == timely[sure]
    assert patient.second_look == SecondLook.SKIPPED


def test_looks_end_when_time_does_and_what_was_looked_at_stays(model, rows):
    first = model.predict(rows)
    due = np.flatnonzero(BAND.holds(first.probability)).tolist()
    assert len(due) > 20
    answers = chain(repeat(True, 20), repeat(False))
    looked = look_again(model.deeper, rows, first, in_time=lambda _: next(answers))
    taken = [i for i, look in enumerate(looked.looks) if look is SecondLook.TAKEN]
    assert taken == due[:20]
    assert sorted(looked.skipped) == due[20:]


class Spoilt:
    """A larger model that has no score for some rows, and then none for its batch."""

    def __init__(self, model, spoilt):
        self._model, self._spoilt = model, spoilt

    def predict(self, matrix):
        if any((row == bad).all() for row in matrix for bad in self._spoilt):
            raise ModelUnavailable("the score is not a number")
        return self._model.predict(matrix)


def test_a_row_that_the_larger_model_cannot_score_costs_no_other_its_look(model, rows):
    rows = np.nan_to_num(rows)
    first = model.predict(rows)
    due = np.flatnonzero(BAND.holds(first.probability)).tolist()
    bad = due[3]
    spoilt = DeeperModel(BAND, Spoilt(model.deeper.model, [rows[bad]]))
    looked = look_again(spoilt, rows, first)
    assert looked.skipped == {bad: "model"}
    assert looked.counts() == {
        "second_look_taken": len(due) - 1,
        "second_look_failed": 1,
    }
    assert looked.of(bad).margin[bad] == first.margin[bad]


async def test_without_the_larger_model_the_first_look_stands(model, scorer_of):
    timely = await cores(scorer_of(model), CHECKS)

    class Broken:
        def predict(self, _matrix):
            raise ModelUnavailable("down")

    broken = replace(model, deeper=DeeperModel(BAND, Broken()))
    found = await cores(scorer_of(broken), CHECKS)
    for core, before in zip(found, timely, strict=True):
        if before.second_look == SecondLook.TAKEN:
            assert core.second_look == SecondLook.SKIPPED
            assert [d.detail for d in core.degradations] == ["model"]
            assert core.HasField("score")


async def test_a_challenger_takes_its_own_second_look(model, scorer_of):
    scorer = scorer_of(replace(model, deeper=None))
    answers = await scorer.score_many(CHECKS)
    judged = [
        judged_from_bytes(wire.logged_to_bytes(answer.decision, one))
        for answer, one in zip(answers, CHECKS, strict=True)
    ]
    theirs = Challenger(model, scorer.artifacts.in_force.policy).decide_many(judged)
    ours = await cores(scorer_of(model), CHECKS)
    assert [c.second_look for c in theirs] == [c.second_look for c in ours]
    assert [c.score for c in theirs] == [c.score for c in ours]


def test_the_score_of_a_second_look_is_explained_by_the_larger_model(
    directory, model, rows
):
    explainer = TreeExplainer.from_bundle(directory)
    for deeper, used in ((False, model), (True, model.deeper.model)):
        found = explainer.explain(rows[0], deeper=deeper)
        assert found.margin == pytest.approx(used.predict(rows[:1]).margin[0], abs=1e-4)


@pytest.mark.parametrize("file", bundle.SECOND_FILES)
def test_a_larger_model_that_was_tampered_with_is_refused(copy, file):
    raw = (copy / file).read_bytes()
    (copy / file).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(BadArtifact, match=file):
        load_model(copy)
    (copy / file).unlink()
    with pytest.raises(BadArtifact, match=file):
        load_model(copy)


def test_a_larger_model_that_scores_otherwise_than_at_its_export_is_refused(copy):
    # The first graph in its place: sound, trusted, and not what was exported.
    graph = (copy / bundle.GRAPH_FILE).read_bytes()
    rewrite(copy, **{bundle.SECOND_GRAPH_FILE: graph})
    with pytest.raises(BadArtifact, match=r"second\.onnx: golden vectors"):
        load_model(copy)


def test_a_larger_model_that_gives_nan_is_refused(copy):
    def spoil(graph):
        tree = next(n for n in graph.node if n.op_type == "TreeEnsembleRegressor")
        weights = next(a for a in tree.attribute if a.name == "target_weights")
        weights.floats[0] = float("nan")

    graph = changed_graph((copy / bundle.SECOND_GRAPH_FILE).read_bytes(), spoil)
    rewrite(copy, **{bundle.SECOND_GRAPH_FILE: graph})
    with pytest.raises(BadArtifact, match=r"second\.onnx.*(not a number|golden)"):
        load_model(copy)


def test_a_band_that_was_edited_is_refused(copy):
    path = copy / bundle.MANIFEST_FILE
    text = path.read_text()
    assert '"low": 0.02' in text
    path.write_text(text.replace('"low": 0.02', '"low": 0.01'))
    with pytest.raises(BadArtifact, match="version: is not the hash"):
        load_model(copy)


def test_a_band_that_holds_no_score_is_refused():
    with pytest.raises(ValueError, match="`low` must lie below `high`"):
        Band(low=0.3, high=0.3)


def test_a_bundle_without_a_second_look_keeps_the_version_that_it_had(tmp_path):
    manifest = train_on(
        small_dataset(), tmp_path / "one", catalogue=CATALOGUE, recipe=RECIPE
    )
    assert manifest.deeper is None
    assert "deeper" not in manifest.to_json()


def ranked(first, larger, fraud):
    return training.Ranked(
        np.asarray(first, float), np.asarray(larger, float), np.asarray(fraud, bool)
    )


def test_the_band_chosen_is_the_smallest_that_keeps_the_gain():
    # The larger model alone tells the 10 rows below the top 10 of 1,000 apart.
    first = np.arange(1_000.0)
    larger, fraud = first.copy(), np.zeros(1_000, bool)
    fraud[[992, 994, 996, 998]] = True
    larger[fraud] += 100
    found = training.chosen([ranked(first, larger, fraud)])
    begin, end = found.span
    assert end - begin <= 0.01
    again = training.between(first, begin, end)
    assert again[990:].sum() == again.sum() > 0
    assert found.log[0]["looked_at_again"] == 0
    band = found.among(first.astype(np.float32) / 1_000).band
    assert band.low == pytest.approx(begin, abs=0.002)


def test_a_larger_model_that_ranks_no_better_gets_no_band():
    first = np.arange(100.0)
    fraud = first >= 95
    found = training.chosen([ranked(first, first[::-1], fraud)])
    assert found.span is None
    assert found.among(np.linspace(0, 1, 100, dtype=np.float32)).band is None
