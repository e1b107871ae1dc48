"""What was decided about past payments, and amounts that are not known."""

from __future__ import annotations

import random

import numpy as np
import pytest
from cases_tables import csv_file, good, rows_of, table
from outcomes import OUTCOMES, recorded
from streams import DEDUPE_MS, LATENESS_MS, check

from scoring.core.decision.decision import Outcome
from scoring.core.features.vector import vectorise
from scoring.errors import BadArtifact
from scoring.replay.learn import labelled_transactions_of
from scoring.stores.memory.store import MemoryStore
from scoring.tables.describe import describe
from scoring.tables.mapping import load_mapping
from scoring.training.dataset import AMOUNT_UNKNOWN, DAY_MS
from scoring.training.train import dataset_of

HEADER = "id,at,amount,card,device,merchant,fraud,status"
MAPPING = """
columns: {id: id, occurred_at: at, amount: amount, card: card, device: device,
  merchant: merchant, fraud: fraud, outcome: status}
constants: {currency: EUR}
"""
CODES = "outcomes: {approve: ['00', ok], decline: ['05', '51'], review: [hold]}"


def statuses(folder, *said):
    rows = [
        f"x{i},2024-03-01T10:00:{i:02d}Z,1.50,c,d,m,0,{status}"
        for i, status in enumerate(said)
    ]
    return csv_file(folder, *rows, header=HEADER)


def test_the_words_for_outcomes_are_read_in_capitals_or_not(tmp_path):
    path = statuses(tmp_path, "approve", "DECLINE", "Challenge", "review", "", "ok")
    read = table(path, MAPPING)
    found = [row.outcome for row in rows_of(read).values()]
    assert found == ["approve", "decline", "challenge", "review", "", ""]
    assert read.account.admitted == 6
    lines = [line for line in read.account.lines() if line.startswith("no outcome")]
    assert len(lines) == 2
    assert any("outcomes: {decline: [refused]}" in line for line in lines)
    assert any("row 6" in line for line in lines)


def test_a_mapping_says_which_value_is_which_outcome(tmp_path):
    path = statuses(tmp_path, "00", "05", "51", "hold", "decline")
    found = [row.outcome for row in rows_of(table(path, MAPPING + CODES)).values()]
    assert found == ["approve", "decline", "decline", "review", ""]
    with pytest.raises(BadArtifact, match="cannot mean two outcomes"):
        load_mapping(MAPPING + "outcomes: {approve: [a], review: [a]}", name="m")


@pytest.mark.parametrize(
    ("said", "mapped"),
    [
        (["approve", "DECLINE"], True),
        (["APPROVE", "APPROVE"], True),
        (["active", "closed"], False),
        (["approve", "captured"], False),
    ],
)
def test_an_outcome_is_proposed_only_where_every_value_is_one(tmp_path, said, mapped):
    proposal = describe(statuses(tmp_path, *said))
    assert ("outcome" in load_mapping(proposal.text, name="m").columns) is mapped
    asked = any("outcomes: {approve: [ok]" in remark for remark in proposal.remarks)
    assert asked is not mapped


def test_the_same_payment_with_two_outcomes_is_refused(tmp_path):
    row = "x,2024-03-01T10:00:00Z,1.50,c,d,m,0,"
    path = csv_file(tmp_path, row + "approve", row + "decline", header=HEADER)
    read = table(path, MAPPING)
    assert len(rows_of(read)) == 1
    assert read.account.refused == {"outcome: differs from the same payment's": 1}


def written(folder, rnd, count):
    """Payments of few cards, some of unknown amount or outcome, in any order."""
    words = ["approve", "challenge", "review", "decline", "", "who knows"]
    rows = [
        f"t{i},2024-03-{rnd.randrange(1, 20):02d}T{rnd.randrange(24):02d}:00:00Z,"
        f"{rnd.choice(['', '1.50', '250.00', '999.99'])},c{rnd.randrange(4)},"
        f"{rnd.choice(['', 'd1', 'd2'])},m{rnd.randrange(3)},{int(i % 9 == 0)},"
        f"{rnd.choice(words)}"
        for i in range(count)
    ]
    return csv_file(folder, *rows, header=HEADER)


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_trained_on_outcomes_is_what_is_served(tmp_path, seed):
    read = table(written(tmp_path, random.Random(seed), 300), MAPPING)
    dataset = dataset_of(
        labelled_transactions_of(read), OUTCOMES, label_delay_ms=read.label_delay_ms
    )
    store = MemoryStore(OUTCOMES, lateness_ms=LATENESS_MS, dedupe_ms=DEDUPE_MS)
    rows = [row for batch in read.batches() for row in batch]
    seen = []
    for row in rows:
        asked = check(row.transaction)
        seen += await store.observe([asked])
        outcome = Outcome[row.outcome.upper()] if row.outcome else Outcome.UNSPECIFIED
        await store.record([recorded(asked, outcome)])
    served = vectorise(
        OUTCOMES, [row.transaction for row in rows], [o.values for o in seen]
    )
    same = (dataset.matrix == served) | (np.isnan(dataset.matrix) & np.isnan(served))
    assert not [
        n for n, ok in zip(OUTCOMES.names, same.all(axis=0), strict=True) if not ok
    ]
    declined = dataset.matrix[:, OUTCOMES.names.index("card_declined_7d")]
    assert np.nanmax(declined) > 1
    unknown = [row.transaction.amount_minor is None for row in rows]
    assert any(unknown)
    assert (dataset.amount_minor == AMOUNT_UNKNOWN).tolist() == unknown


def test_definitions_that_count_outcomes_ask_for_the_column(tmp_path):
    without = MAPPING.replace(", outcome: status", "")
    rows = labelled_transactions_of(table(statuses(tmp_path, "approve"), without))
    with pytest.raises(BadArtifact, match=r"count by outcome: .*map one"):
        dataset_of(rows, OUTCOMES, label_delay_ms=7 * DAY_MS)


@pytest.mark.parametrize("blank", ["", " "])
def test_an_amount_that_is_not_known_is_admitted_and_counted(tmp_path, blank):
    path = csv_file(tmp_path, *good(3), f"x,2024-03-01T11:00:00Z,{blank},EUR,c1,0")
    read = table(path)
    assert rows_of(read)["x"].transaction.amount_minor is None
    assert (len(read), read.account.refused.total()) == (4, 0)
    (line,) = read.account.lines()
    assert line.startswith("no amount 1: the cell is empty (first: payments.csv row 4")


def test_zero_is_an_amount(tmp_path):
    path = csv_file(tmp_path, *good(3), "x,2024-03-01T11:00:00Z,0,EUR,c1,0")
    read = table(path)
    assert rows_of(read)["x"].transaction.amount_minor == 0
    assert not list(read.account.lines())
