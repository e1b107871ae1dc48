"""What happened to payments is replayed with them, and a rule counts it in its time."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_policy import busy
from token_list_parts import listed

FEATURES = """
name: declines
currency: {reference: EUR}
entities: {card: card, merchant: merchant}
features:
  - {name: 'card_count_{window}', entity: card, statistic: count, windows: [1d],
     reason_group: BUSY, description: payments of the card}
  - {name: 'card_declines_{window}', entity: card, statistic: count, windows: [1h, 1d],
     filter: issuer_outcome == 'DECLINED', reason_group: BUSY, description: declines}
  - {name: 'merchant_refunded_{window}', entity: merchant, statistic: sum,
     windows: [7d], filter: event == 'REFUNDED', reason_group: BUSY,
     description: refunded}
"""
LISTED = """lists:
  stolen: {field: card, then: review, reason_code: BUSY, managed: true}
rules:
"""
POLICY = busy(issuer_says_no="features.card_declines_1h > 0.0").replace(
    "rules:\n", LISTED, 1
)
FIRST_MS = 1_522_540_800_000
HOUR_MS = 3_600_000
COUNT = 240
ADDED_MS = FIRST_MS + COUNT // 2 * 600_000


LIST = "lists.stolen"
LISTS = ("--database", "sqlite:///kept.db")


def scoring(directory: Path, *arguments: str, code: int = 0) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCORING_")}
    own = {
        "SCORING_MODEL_DIR": str(directory / "model"),
        "SCORING_FEATURES_FILE": str(directory / "features.yaml"),
        "SCORING_POLICY_FILE": str(directory / "policy.yaml"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *arguments],
        cwd=directory,
        env=kept | own,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr if code else done.stdout


def payments(rnd: random.Random) -> list[dict]:
    return [
        {
            "id": f"p{i}",
            "occurred_at_ms": FIRST_MS + i * 600_000,
            "amount_minor": rnd.choice((500, 2_000, 9_000)),
            "currency": "EUR",
            "card": f"c{rnd.randrange(9)}",
            "merchant": f"m{rnd.randrange(4)}",
            "fraud": i % 7 == 0,
        }
        for i in range(COUNT)
    ]


def events(rnd: random.Random, paid: list[dict]) -> list[dict]:
    """Of most payments; some known late, with, or (another clock) before their own."""
    made = []
    for i, payment in enumerate(rnd.sample(paid, COUNT * 3 // 4)):
        happened_ms = payment["occurred_at_ms"] + rnd.choice((-300, 0, 1, HOUR_MS))
        made.append(
            {
                "transaction_id": payment["id"],
                "event_id": f"e{i}",
                "kind": rnd.choice(("ISSUER_DECLINED", "REFUNDED", "AUTHORISED")),
                "occurred_at": happened_ms,
                "known_at": happened_ms + rnd.choice((0, 0, 1_000, 9 * HOUR_MS)),
            }
        )
    return [*made, *made[:9]]  # some are told twice


@pytest.fixture
def place(tmp_path) -> Path:
    rnd = random.Random(3)
    paid = payments(rnd)
    pq.write_table(pa.Table.from_pylist(paid), tmp_path / "paid.parquet")
    happened = pa.Table.from_pylist(events(rnd, paid))
    pq.write_table(happened, tmp_path / "events.parquet")
    pq.write_table(happened.slice(0, 0), tmp_path / "none.parquet")
    (tmp_path / "features.yaml").write_text(FEATURES)
    (tmp_path / "policy.yaml").write_text(POLICY)
    listed(f"sqlite:///{tmp_path / 'kept.db'}", "stolen", "c1", at_ms=ADDED_MS)
    scoring(
        tmp_path,
        *("train", "paid.parquet", "--events", "events.parquet"),
        *("--out", "model", "--rounds", "5", "--label-delay-days", "0"),
    )
    return tmp_path


@pytest.mark.timeout(290)
def test_events_are_applied_in_their_time_whatever_the_door(place):
    told = ("--events", "events.parquet")
    for door in ("grpc", "kafka"):
        play = ("replay", "paid.parquet", "--through", door, *told, *LISTS)
        report = scoring(place, *play, "--out", f"{door}.parquet")
        assert "events fed back" in report
        said = scoring(
            place, "replay", "offline", "paid.parquet", f"{door}.parquet", *told
        )
        assert f"{COUNT:,} transactions scored offline too, 0 without" in said
        assert "values differ" not in said
    listed_is_reviewed_since_it_was_added(place)
    again = scoring(place, "replay", "compare", "grpc.parquet", "policy.yaml", *LISTS)
    assert f"0 of {COUNT} outcomes flipped" in again
    same = scoring(place, "replay", "compare", "kafka.parquet", "grpc.parquet")
    assert "equal decision cores for every transaction" in same
    decided = pq.read_table(place / "grpc.parquet").to_pylist()
    held = [row for row in decided if row["outcome"] == "DECLINE"]
    assert 10 < len(held) < COUNT
    assert "list 'stolen' is managed" in scoring(
        place, "replay", "paid.parquet", code=2
    )
    check = ("replay", "offline", "paid.parquet", "grpc.parquet")
    unfed = scoring(place, *check, "--events", "none.parquet", code=1)
    assert "card_declines_1h:" in unfed


def listed_is_reviewed_since_it_was_added(place):
    """What the list holds back is what the card paid from when it was put there."""
    paid = pq.read_table(place / "grpc.parquet").to_pylist()
    held = {row["id"] for row in paid for hit in row["rules"] if hit["rule"] == LIST}
    cards = {row["id"]: row["card"] for row in payments(random.Random(3))}
    own = [row for row in paid if cards[row["id"]] == "c1"]
    later = {row["id"] for row in own if row["occurred_at_ms"] >= ADDED_MS}
    assert 0 < len(later) < len(own)
    assert held == later
