"""The let-through sample in the report, of an archive that is worked out by hand."""

from math import isclose

import numpy as np
import pytest
from backtest_parts import DAY_MS, FIRST_MS, labelled, recorded
from small_policy import LARGE

from scoring import wire
from scoring.backtest.intervals import wilson
from scoring.backtest.let_through import sample_figures
from scoring.backtest.report import Beside, report_json
from scoring.backtest.report_page import report_sheets
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.source import source_of
from scoring.core.decision.decision import Degradation, DegradationCode, Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import load_policy
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact
from scoring.history.archive import Archive

CATALOGUE = default_catalogue()
OPTIONS = BacktestOptions(days=50, label_delay_days=20, memory_mb=512)
FALLBACK = """fallbacks:
  - {degradation: model_unavailable, then: decline, reason_code: NOT_SCORED}
"""
SAMPLE = """
let_through: {share: 0.02, amount_minor_max: 10000, budget_minor_per_day: 50000}
"""
POLICY = load_policy(LARGE + FALLBACK + SAMPLE, catalogue=CATALOGUE, name="p")
EARLIER = "an earlier version"
LATE = Degradation(DegradationCode.TOO_LATE)
UNSCORED = Degradation(DegradationCode.MODEL_UNAVAILABLE)


class Ledger:
    """Payments that are decided as online, and what became known of them."""

    def __init__(self):
        self.decisions, self.labels = [], []

    def pays(self, id_, *, day=1, amount=5_000, evidence=None, more=None, **fields):
        t = Transaction(
            "default",
            id_,
            occurred_at_ms=FIRST_MS + day * DAY_MS,
            amount_minor=amount,
            currency="EUR",
            **fields,
        )
        seen = {"probability": 0.01, **(evidence or {})}
        vector = np.zeros(len(CATALOGUE.names), np.float32)
        core = decide(t, b"h", policy=POLICY, evidence=Evidence(vector=vector, **seen))
        through = (more or {}).get("let_through")
        row = {
            "outcome": Outcome(core.outcome).name.lower(),
            "provisional": core.provisional,
            "policy_version": POLICY.version,
            "decision": wire.decision_to_bytes(wire.core_to_bytes(core), b""),
        }
        if through:
            row["outcome"] = "approve"
        i = len(self.decisions)
        self.decisions.append(recorded(t, i, CATALOGUE, **row | (more or {})))

    def is_fraud(self, id_, *, day=2):
        at_ms = FIRST_MS + day * DAY_MS
        self.labels.append(labelled(id_, len(self.labels), at_ms))


def filled(directory):
    """48 payments that the sample might have let through, 7 of which it did."""
    book = Ledger()
    for i in range(40):
        book.pays(f"declined-{i}")
    for attempt in range(3):  # one payment, thrice
        book.pays(f"again-{attempt}", payment_id="again")
    for i in range(6):  # of which three turn out to be fraud
        book.pays(f"through-{i}", more={"let_through": 0.02})
    for i in range(3):
        book.is_fraud(f"through-{i}")
    book.pays("young", day=40, more={"let_through": 0.02})
    book.is_fraud("young", day=40)
    for i in range(2):  # each stands for a hundred
        more = {"let_through": 0.01, "policy_version": EARLIER}
        book.pays(f"earlier-{i}", more=more)
        book.is_fraud(f"earlier-{i}")
    # What the sample never has: a list's, a fallback's, too large, too late.
    book.pays("listed", card="c9")
    book.pays("fallback", amount=5, evidence={
        "probability": None, "degradations": (UNSCORED,)})  # fmt: skip
    book.pays("large", amount=10_001)
    book.pays("late", evidence={"degradations": (LATE,)})
    assert {row["outcome"] for row in book.decisions[-4:]} == {"decline"}
    book.pays("approved", amount=5)
    book.pays("other", more={"policy_version": EARLIER})
    twice = book.decisions[0] | {"log_offset": len(book.decisions)}
    archive = Archive(directory)
    archive.prepare()
    archive.take("decisions", 0, [*book.decisions, twice], (0, 1_000))
    archive.take("labels", 0, book.labels, (0, 1_000))
    return source_of(directory, CATALOGUE)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def found(source):
    return sample_figures(source, POLICY, OPTIONS)


def test_the_realised_share_is_of_the_payments_that_might_be_let_through(found):
    assert (found.share, found.eligible, found.let_through) == (0.02, 48, 7)
    assert found.realised.share == 7 / 48
    interval = wilson(7, 48)
    assert isclose(found.realised.low, interval[0], rel_tol=1e-6)
    assert isclose(found.realised.high, interval[1], rel_tol=1e-6)


def test_the_precision_weighs_each_by_its_inverse_probability(found):
    """Six stand for 50 each, three of them fraud; two for 100 each, both fraud."""
    assert found.precision.count == 8, "the young one says nothing yet"
    assert isclose(found.precision.share, (3 * 50 + 2 * 100) / (6 * 50 + 2 * 100))
    worth = 500**2 / (6 * 50**2 + 2 * 100**2) / (1 - 8 / 500)
    low, high = wilson(0.7 * worth, worth)
    assert isclose(found.precision.low, low, rel_tol=1e-6)
    assert isclose(found.precision.high, high, rel_tol=1e-6)


def test_the_report_shows_the_sample_with_its_formulas(source, found):
    same = backtest(source, POLICY, POLICY, options=OPTIONS)
    written = report_json(same, POLICY, Beside(sample=found))
    assert written["let_through"]["realised_share"]["share"] == 7 / 48
    assert (
        "1 / probability" in written["let_through"]["precision_of_declines"]["formula"]
    )
    shares, precision = report_sheets(written)[-2:]
    assert shares.rows == (("2.00%", "48", "7", "14.58% (7.25%–27.17%)"),)
    assert precision.rows[0][0] == "8"
    assert precision.rows[0][1].startswith("70.0% (")


def test_a_version_without_a_sample_has_no_figures_of_one(source):
    none = load_policy(LARGE + FALLBACK, catalogue=CATALOGUE, name="p")
    assert sample_figures(source, none, OPTIONS) is None


def test_a_record_that_cannot_be_read_is_named(tmp_path):
    book = Ledger()
    book.pays("t1", more={"decision": b"\xff"})
    archive = Archive(tmp_path)
    archive.prepare()
    archive.take("decisions", 0, book.decisions, (0, 1))
    with pytest.raises(BadArtifact, match="default/t1 cannot be read"):
        sample_figures(source_of(tmp_path, CATALOGUE), POLICY, OPTIONS)
