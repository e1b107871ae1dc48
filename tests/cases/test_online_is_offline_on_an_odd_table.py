"""An odd table with rows that the doors refuse: served, recomputed and learned alike.

Half locations, refunds, card numbers, currencies that are none or have no rate, tokens
of any characters, many payments of one minute and of one second.
"""

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

ROWS = 400
HEADER = (
    "id,timestamp,amount,currency,card,customer,merchant,terminal,device,channel,"
    "merchant_category,card_country,lat,lon,is_fraud,known_at"
)
MAPPING = """
columns: {id: id, occurred_at: timestamp, amount: amount, currency: currency,
  card: card, customer: customer, merchant: merchant, terminal: terminal,
  device: device, channel: channel, merchant_category: merchant_category,
  card_country: card_country, latitude: lat, longitude: lon, fraud: is_fraud,
  known_at: known_at}
"""
CARDS = ["", "tok_é", "卡-1", "c 3", '"c""4"', "c'5", "c|6", "c:7", "c{8}", "c\\9", "0"]
REFUSED = {
    "refund": {"amount": "-5.00"},
    "beyond": {"amount": "9999999999999.99"},
    "card number": {"card": "4111111111111111"},
    "no currency": {"currency": "XXY"},
    "half": {"lat": "51.5", "lon": ""},
    "other half": {"lat": "", "lon": "0"},
    "no channel": {"channel": "77"},
}
PLACES = [("", ""), ("0", "0"), ("90", "180"), ("-33.5", "0"), ("51.5", "-0.1")]


def row(rnd, i: int) -> dict[str, str]:
    at = datetime(2024, 2, 28, tzinfo=UTC) + timedelta(i // 14, minutes=i % 14 // 5)
    if i % 2:  # half of them in whole seconds, the others in whole minutes
        at += timedelta(seconds=rnd.randrange(4))
    known = at + rnd.choice([timedelta(0), timedelta(hours=3), timedelta(days=2)])
    lat, lon = rnd.choice(PLACES)
    channel = rnd.choice(["", "ATM", "ECOMMERCE"])
    fraud = "1" if channel == "ATM" else "0"  # which a model can learn
    return {
        "id": f"i{i}",
        "timestamp": at.isoformat(),
        "amount": rnd.choice(["0", "0.01", "12.00", f"{rnd.randrange(1, 500)}.5"]),
        "currency": rnd.choice(["EUR", "EUR", "USD", "KWD", "TND"]),
        "card": rnd.choice(CARDS),
        "customer": rnd.choice(["", "u1", "u2", "u3"]),
        "merchant": rnd.choice(["", "m1", "m2"]),
        "terminal": rnd.choice(["", f"t{i % 9}"]),
        "device": rnd.choice(["", f"d{i % 9}"]),
        "channel": channel,
        "merchant_category": rnd.choice(["", "5411", "7995"]),
        "card_country": rnd.choice(["", "DE", "FR"]),
        "lat": lat,
        "lon": lon,
        "is_fraud": rnd.choice([fraud, fraud, fraud, "0", ""]),
        "known_at": known.isoformat(),
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory, model_dir):
    """A directory with the table, the same without its refused rows, and a mapping."""
    directory = tmp_path_factory.mktemp("odd")
    rnd, odd, clean = random.Random(9), [], []
    for i in range(ROWS):
        one = row(rnd, i)
        refused = rnd.choice([*REFUSED.values(), *[None] * 14])
        odd.append(",".join((one | (refused or {})).values()))
        if refused is None:
            clean.append(odd[-1])
    for name, lines in (("odd", odd), ("clean", clean)):
        text = "\n".join([HEADER, *lines]) + "\n"
        (directory / f"{name}.csv").write_text(text, "utf-8")
    (directory / "odd.yaml").write_text(MAPPING, "utf-8")
    (directory / "model").symlink_to(model_dir)
    return directory


def scoring(place, *words, exits=0):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SCORING_")}
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *words],
        cwd=place,
        env=inherited | {"SCORING_MODEL_DIR": str(place / "model")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == exits, done.stdout + done.stderr
    return done.stdout + done.stderr


def replay(place, out, *words):
    mapped = ("odd.csv", "--mapping", "odd.yaml", "--out", f"{out}.parquet")
    said = scoring(place, "replay", *mapped, *words, exits=1)
    left_out = (place / f"{out}.left-out.csv").read_text("utf-8")
    decided = pq.read_table(place / f"{out}.parquet")["id"].to_pylist()
    clean = (place / "clean.csv").read_text("utf-8").splitlines()[1:]
    assert {*decided} == {line.partition(",")[0] for line in clean}
    assert len(decided) + left_out.count("\nrefused,") == ROWS
    return said


def offline(place, out, *words):
    """What was served against what is recomputed: 0 values differ."""
    mapped = ("odd.csv", f"{out}.parquet", "--mapping", "odd.yaml")
    return scoring(place, "replay", "offline", *mapped, *words)


@pytest.mark.timeout(590)
def test_both_doors_and_offline_agree_in_order_and_refuse_the_same_rows(place):
    replay(place, "kafka", "--through", "kafka")
    replay(place, "grpc", "--through", "grpc")
    same = scoring(place, "replay", "compare", "kafka.parquet", "grpc.parquet")
    assert "equal decision cores for every transaction" in same
    offline(place, "kafka")
    assert any(
        "AMOUNT_UNKNOWN" in codes or "amount_unknown" in codes
        for codes in pq.read_table(place / "kafka.parquet")["degradations"].to_pylist()
    ), "every currency has a rate: nothing is proved of those that have none"


@pytest.mark.timeout(590)
def test_at_full_speed_it_is_recomputed_as_it_was_processed(place):
    ahead = ("--unordered", "--label-lead", "3d")
    replay(place, "fast", "--through", "grpc", *ahead)
    offline(place, "fast", "--as-processed")


def test_a_model_learns_from_the_rows_that_the_doors_take_and_from_no_other(place):
    """The same bytes as from a table that never had the others."""
    made = {}
    for name, status in (("odd", 1), ("clean", 0)):
        out = ("--out", f"of-{name}", "--rounds", "3", "--depth", "2")
        table = (f"{name}.csv", "--mapping", "odd.yaml")
        said = scoring(place, "train", *table, *out, exits=status)
        (bundle,) = (place / f"of-{name}").rglob("model.onnx")
        made[name] = bundle.read_bytes()
        if name == "odd":
            assert "refused" in said
    assert made["odd"] == made["clean"]
