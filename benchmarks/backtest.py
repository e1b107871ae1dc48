"""Time and memory of a backtest, and whether it decides what online would.

    make bench NAME=backtest

An archive of 10 M payments in 90 days with the shipped definitions' features, and a
label for one in fifty, is judged by 50 rules and by 49 of them. Beside it the
yardstick: one scan of the same Parquet columns with as many threads. `differences`
counts the payments whose masks or outcome the online program has otherwise, of 100,000.
The last line is JSON. Another count of payments may be named; then
`seconds_10m_rows_50_rules` is worked out of it.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from math import nan
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.policy import WATCHED, rules
from scoring.backtest.run import BacktestOptions, backtest, workbench
from scoring.backtest.side import Side
from scoring.backtest.source import ArchiveSource
from scoring.backtest.trial import Trial
from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.transaction.transaction import Transaction
from scoring.history.archive import Archive, text_sql
from scoring.history.rows import DECISIONS, LABELS, TRANSACTION_FIELDS

PAYMENTS, RULES, DAYS, THREADS = 10_000_000, 50, 90, 2
COMPARED = 100_000
FIRST_MS = 1_767_225_600_000
DAY_MS = 86_400_000
CATALOGUE = default_catalogue()


def policy(count: int) -> Policy:
    """A policy of the first rules, as JSON, which is YAML."""
    written = {
        "version": 1,
        "name": f"{count} rules",
        "thresholds": {"default": {"challenge": 0.9, "review": 0.97, "decline": 0.99}},
        "lists": {"watched": {"entries": [{"token": shop} for shop in WATCHED]}},
        "rules": [
            {
                "id": f"rule_{i}",
                "when": text,
                "then": ("decline", "review", "challenge")[i % 3],
                "reason_code": "HELD",
            }
            for i, text in enumerate(rules(count))
        ],
        "default": {"outcome": "review", "reason_code": "HELD"},
        "reasons": {
            "HELD": "The rule held for it.",
            "NO_RISK_FOUND": "Nothing unusual was found.",
        },
    }
    return load_policy(json.dumps(written), catalogue=CATALOGUE, name="policy.json")


def day(chance: np.random.Generator, number: int, count: int) -> dict[str, object]:
    """The columns of one day's decisions."""
    width = len(CATALOGUE.names)
    values = np.floor(chance.gamma(0.7, 1.2, count * width) * 4).astype(np.float32) / 4
    values[chance.random(len(values)) < 0.03] = np.nan
    ids = np.arange(number * 10_000_000, number * 10_000_000 + count)
    countries = np.array(["DE", "FR", "ES"])
    return {
        "tenant": np.full(count, "default"),
        "id": np.char.add("payment-", ids.astype(str)),
        "occurred_at_ms": FIRST_MS
        + number * DAY_MS
        + np.sort(chance.integers(0, DAY_MS, count)),
        "amount_minor": chance.gamma(1.0, 4_000, count).astype(np.int64),
        "currency": np.full(count, "EUR"),
        "card": np.char.add("card-", chance.integers(0, 200_000, count).astype(str)),
        "merchant": np.char.add("shop-", chance.integers(0, 4_000, count).astype(str)),
        "device": np.where(chance.random(count) < 0.5, "device", ""),
        "channel": chance.integers(1, 4, count).astype(np.int32),
        "merchant_category": chance.choice(["5411", "5812", "7995"], count),
        "card_country": chance.choice(countries, count, p=[0.9, 0.05, 0.05]),
        "merchant_country": np.full(count, "DE"),
        "outcome": chance.choice(["approve", "decline"], count, p=[0.97, 0.03]),
        "score": chance.beta(0.4, 20, count),
        "provisional": np.full(count, False),
        "policy_version": np.full(count, ""),
        "features_version": np.full(count, CATALOGUE.version),
        "features": pa.ListArray.from_arrays(
            np.arange(count + 1, dtype=np.int32) * width, values
        ),
        "degradations": pa.ListArray.from_arrays(
            np.zeros(count + 1, np.int32), pa.array([], pa.string())
        ),
        "log_partition": np.zeros(count, np.int32),
        "log_offset": ids,
    }


def filled(directory: Path, count: int) -> Archive:
    """An archive of so many payments, in files as `scoring archive` writes them."""
    chance = np.random.default_rng(1)
    for number, own in enumerate(_shares(count)):
        columns = day(chance, number, own)
        _write(directory, "decisions", number, columns, DECISIONS)
        labelled = chance.choice(own, own // 50, replace=False)
        fraud = chance.random(len(labelled)) < 0.3
        ids = np.asarray(columns["id"])[labelled]
        _write(
            directory,
            "labels",
            number,
            {
                "tenant": np.full(len(labelled), "default"),
                "transaction_id": ids,
                "version": np.ones(len(labelled), np.int64),
                "verdict": np.where(fraud, "fraud", "legitimate"),
                "fraud": fraud,
                "known_at_ms": np.asarray(columns["occurred_at_ms"])[labelled]
                + chance.integers(1, 30, len(labelled)) * DAY_MS,
                "source": np.full(len(labelled), "chargeback"),
                "log_partition": np.zeros(len(labelled), np.int32),
                "log_offset": number * 1_000_000 + np.arange(len(labelled)),
            },
            LABELS,
        )
    return Archive(directory)


def _shares(count: int) -> Iterator[int]:
    for number in range(DAYS):
        yield count * (number + 1) // DAYS - count * number // DAYS


def _write(
    directory: Path,
    kind: str,
    number: int,
    columns: dict[str, object],
    schema: pa.Schema,
) -> None:
    stamp = np.datetime64("2026-01-01") + number
    folder = directory / kind / f"day={stamp}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = len(columns["tenant"])  # type: ignore[arg-type]
    arrays = []
    for field in schema:
        own = columns.get(field.name)
        if own is None:
            arrays.append(pa.nulls(rows, field.type))
        else:
            arrays.append(own if isinstance(own, pa.Array) else pa.array(own))
    table = pa.table(arrays, names=schema.names).cast(schema)
    path = folder / f"p0-{number}-{number + 1}.parquet"
    pq.write_table(table, path, compression="zstd")


def measured(directory: str, count: int) -> dict[str, float]:
    """The figures, in a process of its own, whose memory is that of a backtest."""
    source = ArchiveSource(Archive(Path(directory)), CATALOGUE)
    old, new = policy(RULES - 1), policy(RULES)
    options = BacktestOptions(days=DAYS, threads=THREADS)
    scan_s = min(scanned(source, new, options) for _ in range(2))
    start = perf_counter()
    found = backtest(source, new, old, options=options)
    took_s = perf_counter() - start
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert found.eligible == count, found.skipped
    return {
        "payments": count,
        "seconds": round(took_s, 2),
        "scan_seconds": round(scan_s, 2),
        "over_scan": round(took_s / scan_s, 2),
        "differences": differences(source, new, old, options),
        "memory_mb": round(peak_kb / 1_024),
    }


def scanned(source: ArchiveSource, asked: Policy, options: BacktestOptions) -> float:
    """Seconds of one scan of the columns that the rules read, and of the outcome's."""
    names = {name for rule in asked.file.rules for name in CATALOGUE.names
             if f"features.{name} " in f"{rule.when} "}  # fmt: skip
    places = [CATALOGUE.names.index(name) + 1 for name in sorted(names)]
    read = [f"sum(features[{place}])" for place in places]
    columns = (
        *("tenant", "id", "occurred_at_ms", "amount_minor", "currency", "merchant"),
        *("merchant_category", "card_country", "merchant_country", "device"),
        *("channel", "outcome", "score", "policy_version", "features_version"),
    )
    read += [f"max({name})" for name in columns]
    files = ", ".join(text_sql(str(path)) for path in source.archive.files("decisions"))
    with workbench(options) as con:
        start = perf_counter()
        query = f"SELECT {', '.join(read)} FROM read_parquet([{files}])"  # noqa: S608
        con.execute(query).fetchall()
        return perf_counter() - start


def differences(
    source: ArchiveSource, new: Policy, old: Policy, options: BacktestOptions
) -> int:
    """Masks and outcomes that the online program has otherwise, on the first rows."""
    differing = compared = 0
    with workbench(options) as con:
        span = source.span(con, options.days, 0)
        sides = Side("old", old), Side("new", new)
        trial = Trial(con, CATALOGUE, *sides, span)
        next(source.chunks(con, span))
        keys = ", ".join(key for side in sides for key in side.keys)
        con.execute(
            f"CREATE TEMP TABLE keys AS SELECT id, {keys} FROM ({trial.query()})"  # noqa: S608
        )
        fields = [
            name for name in TRANSACTION_FIELDS if name not in {"attributes", "numbers"}
        ]
        rows = con.execute(
            f"""SELECT p.features, p.score, {", ".join(f"p.{f}" for f in fields)},
                {keys} FROM paid p JOIN keys USING (id) LIMIT {COMPARED}"""  # noqa: S608
        )
        while batch := rows.fetchmany(1_000):
            for features, score, *rest in batch:
                own = {
                    f: v for f, v in zip(fields, rest, strict=False) if v is not None
                }
                t, key = Transaction(**own), tuple(rest[len(fields) :])
                compared += 1
                for side in sides:
                    part, key = key[: len(side.keys)], key[len(side.keys) :]
                    differing += not _alike(side, part, t, features, score)
    print(f"compared {compared:,} payments with the online program")
    return differing


def _alike(
    side: Side,
    key: tuple[int, ...],
    t: Transaction,
    features: list[float],
    score: float,
) -> bool:
    asked = nan if score is None else score
    masks = side.policy.program.evaluate(features, t, t.occurred_at_ms, asked)
    vector = np.array(features, np.float32)
    evidence = Evidence(vector=vector, probability=score)
    outcome = decide(t, b"", policy=side.policy, evidence=evidence).outcome
    return masks == side.read(key)[:2] and Outcome(outcome) is side.decided(key)[0]


def main(count: int = PAYMENTS) -> dict[str, float]:
    """Fill an archive, measure, and print; the last line is JSON."""
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as scratch:
        start = perf_counter()
        filled(Path(scratch), count)
        print(
            f"{count:,} payments written in {perf_counter() - start:.0f} s", flush=True
        )
        with get_context("spawn").Pool(1) as pool:
            found = pool.apply(measured, (scratch, count))
    found["seconds_10m_rows_50_rules"] = round(found["seconds"] * PAYMENTS / count, 2)
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PAYMENTS)
