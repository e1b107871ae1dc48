"""The ratio of disputes of each merchant and month, of a ledger worked out by hand."""

from datetime import UTC, datetime

import pytest
from backtest_parts import labelled, recorded

from scoring.backtest.run import BacktestOptions
from scoring.backtest.source import source_of
from scoring.backtest.yardsticks import DISPUTES_FORMULA, yardsticks
from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.history.archive import Archive

CATALOGUE = default_catalogue()
OPTIONS = BacktestOptions(days=90, label_delay_days=20, memory_mb=512)


def at_ms(month, day):
    return int(datetime(2026, month, day, tzinfo=UTC).timestamp() * 1_000)


def paid(id_, month, day, merchant="kiosk", tenant="default"):
    return Transaction(
        tenant,
        id_,
        occurred_at_ms=at_ms(month, day),
        amount_minor=100,
        currency="EUR",
        merchant=merchant,
    )


# The kiosk has 10 payments in January, 5 in February, none in March; the baker 2.
PAID = [
    *(paid(f"jan-{i}", 1, 10 + i) for i in range(10)),
    *(paid(f"feb-{i}", 2, 10 + i) for i in range(5)),
    *(paid(f"baker-{i}", 2, 20, "baker") for i in range(2)),
    paid("jan-0", 1, 10, "kiosk", "other"),  # another tenant's payment of that name
    paid("nobody", 1, 10, ""),
    paid("newest", 3, 20, "florist"),
]
TOLD = [  # payment, month in which it became known, and what differs
    ("jan-0", 1, {}),
    ("jan-1", 1, {"source": "early_warning", "verdict": "fraud"}),
    ("jan-1", 2, {"version": 2}),  # first warned of, then disputed: twice
    ("jan-2", 2, {}),
    ("jan-2", 3, {"version": 2}),  # the same dispute, told again
    ("feb-0", 2, {"source": "early_warning"}),
    ("feb-1", 3, {}),
    ("feb-2", 2, {"verdict": "withdrawn", "fraud": None}),
    ("feb-3", 2, {"source": "review"}),
    ("declined", 2, {}),
    ("nobody", 2, {}),
    ("baker-0", 2, {}),
    ("jan-0", 1, {"tenant": "other"}),
]
BY_HAND = {  # accepted, early warnings, chargebacks, ratio
    ("default", "baker", "2026-02"): (2, 0, 1, 0.5),
    ("default", "kiosk", "2026-01"): (10, 1, 1, 0.2),
    ("default", "kiosk", "2026-02"): (5, 1, 2, 0.6),
    ("default", "kiosk", "2026-03"): (0, 0, 1, None),
    ("other", "kiosk", "2026-01"): (1, 0, 1, 1.0),
}


@pytest.fixture(scope="module")
def merchants(tmp_path_factory):
    directory = tmp_path_factory.mktemp("disputes")
    archive = Archive(directory)
    archive.prepare()
    rows = [recorded(t, i, CATALOGUE) for i, t in enumerate(PAID)]
    refused = paid("declined", 2, 11)
    rows.append(recorded(refused, len(rows), CATALOGUE, outcome="decline"))
    rows.append(rows[0] | {"log_offset": len(rows)})  # recorded more than once
    archive.take("decisions", 0, rows, (0, len(rows)))
    labels = [
        labelled(id_, i, at_ms(month, 25), **more)
        for i, (id_, month, more) in enumerate(TOLD)
    ]
    archive.take("labels", 0, labels, (0, len(labels)))
    return yardsticks(source_of(directory, CATALOGUE), OPTIONS).merchants


def test_each_dispute_counts_once_in_the_month_it_was_first_known(merchants):
    assert {
        (one.tenant, one.merchant, one.month): (
            one.accepted,
            one.early_warnings,
            one.chargebacks,
            one.ratio,
        )
        for one in merchants
    } == BY_HAND


def test_the_highest_ratio_comes_first_with_its_formula(merchants):
    known = [one.ratio for one in merchants if one.ratio is not None]
    assert known == [1.0, 0.6, 0.5, 0.2]
    assert "first became known in the month" in DISPUTES_FORMULA
