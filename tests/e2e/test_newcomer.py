"""Somebody who is new here brings a public table: described, learned from, replayed.

Its shape is that of Sparkov's credit card transactions (fraudTrain.csv), with real
card numbers, a row that came twice, and two rows that are no payment.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from scoring.core.transaction.card_number import holds_card_number

ROWS = int(os.environ.get("SCORING_DRILL_TABLE_ROWS", "3000"))
DAYS, ROWS_PER_CARD, FRAUD_SHARE = 90, 60, 0.02
RUN_S = 140 + ROWS // 50  # of one command, on a machine that is busy with others
SAMPLED_ROWS = 1_000  # a proposal looks at so many; here the first fraud comes later
HEADER = (
    ",trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,"
    "city,state,zip,lat,long,city_pop,job,dob,trans_num,unix_time,merch_lat,"
    "merch_long,is_fraud\n"
)
ASSUMED = """\
amount: read as major units (49.99)
card: column 'cc_num' holds card numbers, which are refused; replace them by tokens \
first, or have each numbered for this table alone by tokenise: [card] in the mapping
currency: no column looks like it; EUR is assumed
fraud: 'is_fraud', with values 0, 1; 1, true, yes, fraud mean fraud; known 7 days later
location: merch_lat, merch_long are taken for where the payment was
merchant_category: not column 'category': its values cannot be one
not used: column 1, category, first, last, gender, street, city, state, zip, lat, \
long, city_pop, job, dob, unix_time
occurred_at: times without a zone are read as UTC
""".splitlines()


def card_number(chance: random.Random) -> str:
    """A Visa, Mastercard or Discover number that passes Luhn's check."""
    digits = [int(d) for d in chance.choice(["4", "51", "6011"])]
    digits += [chance.randrange(10) for _ in range(15 - len(digits))]
    doubled = [d * 2 if i % 2 == 0 else d for i, d in enumerate(digits)]
    check = -sum(d - 9 if d > 9 else d for d in doubled) % 10
    return "".join(map(str, [*digits, check]))


def payments(count: int) -> Iterator[list[object]]:
    """Rows as Sparkov has them; frauds are bursts on one card, mostly of more money."""
    chance, at = random.Random(15), datetime(2019, 1, 1, tzinfo=UTC)
    people = [
        (card_number(chance), chance.uniform(30, 48), chance.uniform(-120, -70))
        for _ in range(count // ROWS_PER_CARD)
    ]
    victim, left = people[0], 0
    for i in range(count):
        at += timedelta(seconds=chance.expovariate(count / (DAYS * 86_400)))
        if i > SAMPLED_ROWS and not left and chance.random() < FRAUD_SHARE / 4:
            victim, left = chance.choice(people), 4
        fraud, left = left > 0, max(left - 1, 0)
        card, latitude, longitude = victim if fraud else chance.choice(people)
        amount = chance.lognormvariate(4.9 if fraud else 3.4, 0.9)
        yield [
            *(i, f"{at:%Y-%m-%d %H:%M:%S}", card),
            *(f'fraud_Kub, "Mann" and {chance.randrange(300)}', "misc_net"),
            *(f"{amount:.2f}", "Ann", "Lee", "F", "1 Road", "Town", "NC"),
            *(f"0{chance.randrange(1_000, 9_999)}", f"{latitude:.4f}"),
            *(f"{longitude:.4f}", 3_495, "Engineer, test", "1988-03-09"),
            *(hashlib.md5(str(i).encode()).hexdigest(), 1_325_376_018 + i),  # noqa: S324
            *(f"{latitude + 0.3:.6f}", f"{longitude - 0.2:.6f}", int(fraud)),
        ]


def write_table(path: Path) -> None:
    """`ROWS` payments, the first of them twice, one without its time, and a total."""
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(HEADER)
        table = csv.writer(out)
        for i, row in enumerate(payments(ROWS)):
            table.writerow(row)
            if i == 0:
                table.writerow(row)
        table.writerow([*row[:1], "", *row[2:18], "no-time", *row[19:]])
        table.writerow(["", "", "", "TOTAL", "", "123456.78", *[""] * 17])


def scoring(directory: Path, *arguments: str, code: int = 0, model: str = "") -> str:
    """Run a command as a person would; what it said, with the time it took."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("SCORING_")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *arguments],
        cwd=directory,
        env=bare | ({"SCORING_MODEL_DIR": model} if model else {}) | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    said = done.stdout + done.stderr
    print(f"scoring {' '.join(arguments[:2])}: {time.monotonic() - began:.1f} s")
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def said_of(label: str, said: str) -> str:
    """The figure beside a label of the printed grid."""
    [line] = [line for line in said.splitlines() if f"│ {label} " in line]
    return line.split("│")[2].strip().replace(",", "")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("newcomer")
    write_table(directory / "fraudTrain.csv")
    return directory


@pytest.mark.timeout(2 * RUN_S)
def test_a_public_table_becomes_a_model_and_a_report_of_the_policy(place):
    told = scoring(place, "replay", "--describe", "fraudTrain.csv")
    remarks = [line[2:] for line in told.splitlines() if line.startswith("# ")]
    assert sorted(remarks) == sorted(ASSUMED)
    # What a person then settles: the currency, and what stands for card numbers.
    mapping = yaml.safe_load(told)
    mapping["constants"]["currency"] = "USD"
    mapping["tokenise"] = ["card"]
    (place / "payments.yaml").write_text(yaml.safe_dump(mapping))
    table = ("fraudTrain.csv", "--mapping", "payments.yaml")

    trained = scoring(place, "train", *table, "--out", "models", code=1)
    assert "promoted: serve it with SCORING_MODEL_DIR=models" in trained
    played = scoring(
        *(place, "replay", *table, "--out", "run.parquet"), code=1, model="models"
    )
    for said in (trained, played):
        assert "refused 1: trans_date_trans_time: is required" in said
        assert "refused 1: trans_num: is required" in said
        assert "skipped 1: is the same payment again" in said
    counts = [said_of(n, played) for n in ("rows", "decided", "refused", "skipped")]
    assert list(map(int, counts)) == [ROWS + 3, ROWS, 2, 1]
    assert said_of("degraded", played) == "0"
    check = ("replay", "offline", table[0], "run.parquet", *table[1:])
    assert "largest score difference 0\n" in scoring(place, *check, model="models")

    report = json.loads((place / "run.report.json").read_text())
    assert sum(one["count"] for one in report["outcomes"].values()) == ROWS
    again = scoring(place, "replay", "report", "run.parquet", model="models")
    for part in ("Outcomes", "Fraud caught", "Rules", "First reasons"):
        assert part in played
        assert part in again
    holds_no_card_number(place)


def holds_no_card_number(place: Path) -> None:
    cards = set(pq.read_table(place / "run.parquet")["card"].to_pylist())
    assert cards == {f"card-{i + 1}" for i in range(len(cards))}
    for path in (place / "run.report.md", place / "run.left-out.csv"):
        assert not any(map(holds_card_number, path.read_text().splitlines()))


def test_without_tokens_no_row_is_decided_and_the_way_out_is_said(place):
    said = scoring(place, "replay", "fraudTrain.csv", code=1)
    for assumed in ASSUMED:
        assert f"· {assumed}" in said
    assert (
        f"refused {ROWS + 1:,}: cc_num: " in said or "card: holds a card number" in said
    )
    assert f"none of {ROWS + 3:,} rows can be decided" in said
