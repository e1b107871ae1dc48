"""What 50 rules cost a transaction, against the CEL library's own evaluator.

Every transaction is evaluated by the generated function, by the library rule by
rule, and by the library with all rules in one list expression (its fastest form).
The masks are compared first, so that a fast wrong answer does not count. `decide` is
the whole decision by the shipped policy: rules, thresholds, reasons. The last two lines
are the same 50 rules alone, and with three managed lists of a million and the breaker's
counting.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import numpy as np
from cel_expr_python import cel
from rich.console import Console
from rich.table import Table

from scoring.core.decision.decision import DecisionCore, Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.rules.inputs import MEMBERS, Schema
from scoring.core.policy.rules.program import Bindings, Clause, RuleProgram, compiled
from scoring.core.policy.shipped_policy import default_policy
from scoring.core.transaction.transaction import Transaction
from scoring.lists.base import ROW, open_base, write_base
from scoring.lists.managed import ManagedList
from scoring.pipeline.answer import Decided
from scoring.pipeline.safeguards.decline_breaker import DeclineBreaker
from scoring.stores.memory.tallies import MemoryTallies

RULES, TRANSACTIONS, ROUNDS = 50, 200, 15
LISTED, LIST_FIELDS = 1_000_000, ("card", "device", "merchant")
CATALOGUE = default_catalogue()
SHAPES = (
    "transaction.amount_minor > {n}000 && features.card_count_1h >= {k}.0",
    "features.card_sum_1d > {n}000.0 && features.customer_new_device == 1.0",
    "transaction.card_country != transaction.merchant_country && score > 0.{k}",
    "features.device_cards_1d > {k}.0 || features.card_merchants_1h > {k}.0",
    "transaction.merchant in lists.watched && features.amount > {n}000.0",
    "!(features.terminal_count_1d < {n}.0) && features.card_age < {n}.0",
    'transaction.channel == "ECOMMERCE" && features.card_speed > {n}0.0',
    'transaction.merchant_category in ["7995", "6051"] && score >= 0.{k}',
    "features.card_sum_1h + features.card_mean_7d * {k}.0 > {n}000.0",
    "features.merchant_cards_1h > {n}.0 && has(transaction.device)",
)
WATCHED = tuple(f"shop-{i}" for i in range(10))


def rules(count: int) -> list[str]:
    return [SHAPES[i % len(SHAPES)].format(n=10 + i, k=1 + i % 9) for i in range(count)]


def payments(seed: int) -> list[tuple[Transaction, list[float], float]]:
    chance = np.random.default_rng(seed)
    made = []
    for i in range(TRANSACTIONS):
        row = chance.gamma(0.7, 9.0, len(CATALOGUE.names)).astype(np.float32)
        transaction = Transaction(
            "default",
            f"t{i}",
            occurred_at_ms=1_700_000_000_000,
            amount_minor=int(chance.integers(100, 100_000)),
            currency="EUR",
            card=f"card-{i}",
            merchant=f"shop-{chance.integers(40)}",
            device=f"device-{i}",
            channel=int(chance.integers(1, 4)),
            merchant_category=str(chance.choice(["7995", "5411", "5812"])),
            card_country=str(chance.choice(["DE", "FR"])),
            merchant_country="DE",
        )
        made.append((transaction, row.tolist(), float(chance.random())))
    return made


def program(texts: list[str]) -> RuleProgram:
    schema = Schema(CATALOGUE.names, lists={"watched": WATCHED})
    bindings = Bindings({}, {"watched": dict.fromkeys(WATCHED, 2**62)})
    made, problems = compiled([Clause(text) for text in texts], schema, bindings)
    if problems:
        raise SystemExit(str(problems))
    return made


def activations(
    environment: object, inputs: list[tuple[Transaction, list[float], float]]
) -> list[object]:
    """The library's own form of each row, built before the clock starts."""
    return [
        environment.Activation(  # type: ignore[attr-defined]
            {
                "transaction": {
                    "amount_minor": t.amount_minor,
                    "card_country": t.card_country,
                    "merchant_country": t.merchant_country,
                    "merchant": t.merchant,
                    "merchant_category": t.merchant_category,
                    "device": t.device,
                    "channel": MEMBERS["channel"][t.channel],
                },
                "features": dict(zip(CATALOGUE.names, row, strict=True)),
                "lists": {"watched": list(WATCHED)},
                "score": score,
            }
        )
        for t, row, score in inputs
    ]


def environment() -> object:
    types = cel.Type
    return cel.NewEnv(
        variables={
            "transaction": types.Map(types.STRING, types.DYN),
            "features": types.Map(types.STRING, types.DOUBLE),
            "lists": types.Map(types.STRING, types.List(types.STRING)),
            "score": types.DOUBLE,
        }
    )


def us_per_transaction(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU microseconds per transaction, best round of each; rounds are interleaved.

    The best round is the one that neighbours on a shared machine disturbed least.

    """
    rounds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = process_time()
            run()
            rounds[name].append((process_time() - start) / TRANSACTIONS * 1e6)
    return {name: min(taken) for name, taken in rounds.items()}


def text_of(texts: list[str], more: str) -> str:
    """A policy of these rules, and more."""
    written = "".join(
        f"  - {{id: r{n}, when: {json.dumps(text)}, then: review, reason_code: RULE}}\n"
        for n, text in enumerate(texts)
    )
    watched = ", ".join(f"{{token: {each}}}" for each in WATCHED)
    return (
        "version: 1\nname: bench\nthresholds: {default: {decline: 0.9}}\n"
        f"rules:\n{written}default: {{outcome: review, reason_code: RULE}}\n"
        "reasons: {RULE: It was asked for., NO_RISK_FOUND: Nothing was found.}\n"
        f"lists:\n  watched: {{entries: [{watched}]}}\n{more}"
    )


def managed(directory: Path, seed: int) -> ManagedList:
    """A list of a million, mapped from its file."""
    chance = np.random.default_rng(seed)
    hashes = np.unique(chance.integers(0, 2**64, LISTED, np.uint64))
    rows = np.zeros(len(hashes), ROW)
    rows["hash"], rows["until_ms"] = hashes, 2**62
    path = directory / f"{seed}.base"
    write_base(path, len(rows), [rows.tobytes()])
    return ManagedList.of(1, open_base(path), ())


def with_and_without(texts: list[str], directory: Path) -> tuple[Policy, Policy]:
    """The same rules alone, and with three lists of a million and the breaker."""
    lists = "".join(
        f"  of_{field}: {{field: {field}, then: decline, reason_code: RULE, "
        "managed: true}\n"
        for field in LIST_FIELDS
    )
    alone = text_of(texts, "breaker: {off: true}\n")
    guarded = load_policy(text_of(texts, lists), catalogue=CATALOGUE, name="guarded")
    held = {
        f"of_{field}": managed(directory, seed)
        for seed, field in enumerate(LIST_FIELDS)
    }
    return (
        load_policy(alone, catalogue=CATALOGUE, name="alone"),
        guarded.with_lists(held),
    )


def counting(policy: Policy) -> DeclineBreaker:
    """The breaker of a process that counts from now on."""
    breaker = DeclineBreaker(
        tallies=MemoryTallies(),
        telemetry=SimpleNamespace(count=lambda *_: None),  # type: ignore[arg-type]
        now_ms=lambda: 1_700_000_000_000,
        in_force=lambda: InForce(policy),
        held=lambda _: None,
    )
    asyncio.run(breaker.exchange())
    return breaker


def guarded_us(
    inputs: list[tuple[Transaction, list[float], float]], evidence: list[Evidence]
) -> dict[str, float]:
    """The whole decision by 50 rules, alone and with lists and breaker."""
    with TemporaryDirectory(prefix="policy-") as directory:
        alone, guarded = with_and_without(rules(RULES), Path(directory))
    breaker, answer = counting(guarded), Decided(b"", Outcome.APPROVE, first=True)
    checks: list[Any] = [
        SimpleNamespace(dry_run=False, transaction=t) for t, *_ in inputs
    ]

    def decided(policy: Policy) -> list[DecisionCore]:
        return [
            decide(t, b"h" * 32, policy=policy, evidence=e)
            for (t, _, _), e in zip(inputs, evidence, strict=True)
        ]

    def counted() -> None:
        cores = decided(guarded)
        breaker.count([guarded] * len(cores), checks, cores, [answer] * len(cores))

    return us_per_transaction(
        {"rules_us": lambda: decided(alone), "guarded_us": counted}
    )


def measure() -> dict[str, float]:
    texts, inputs = rules(RULES), payments(0)
    start = perf_counter()
    ours = program(texts)
    load_ms = (perf_counter() - start) * 1e3
    env = environment()
    bound = activations(env, inputs)
    each = [env.compile(text) for text in texts]  # type: ignore[attr-defined]
    together = env.compile("[" + ", ".join(texts) + "]")  # type: ignore[attr-defined]
    for (t, row, score), activation in zip(inputs, bound, strict=True):
        theirs = sum(rule.eval(activation).value() << i for i, rule in enumerate(each))
        assert ours.evaluate(row, t, 0, score) == (theirs, 0)
    policy = default_policy(CATALOGUE)
    groups = tuple(sorted({f.reason_group for f in CATALOGUE.features.values()}))
    evidence = [
        Evidence(
            # Most payments are small and quiet: no rule holds, reasons are written.
            vector=np.minimum(np.array(row, dtype=np.float32), 3.0),
            margin=-4.0,
            probability=score / 50,
            contributions=np.linspace(-1, 1, len(groups), dtype=np.float32),
            reason_groups=groups,
        )
        for _, row, score in inputs
    ]
    figures = us_per_transaction(
        {
            "function_us": lambda: [
                ours.evaluate(row, t, 0, score) for t, row, score in inputs
            ],
            "library_list_us": lambda: [together.eval(a) for a in bound],
            "library_each_us": lambda: [rule.eval(a) for a in bound for rule in each],
            "decide_us": lambda: [
                decide(t, b"h" * 32, policy=policy, evidence=e)
                for (t, _, _), e in zip(inputs, evidence, strict=True)
            ],
        }
    )
    ratio = figures["function_us"] / figures["library_list_us"]
    figures |= guarded_us(inputs, evidence)
    return {**figures, "ratio": ratio, "load_ms": load_ms}


def main() -> None:
    figures = measure()
    table = Table(title=f"{RULES} rules, CPU µs per transaction (best of {ROUNDS})")
    table.add_column("how")
    table.add_column("µs", justify="right")
    for label, key in (
        ("generated function", "function_us"),
        ("CEL library, all rules in one list", "library_list_us"),
        ("CEL library, rule by rule", "library_each_us"),
        ("whole decision, shipped policy", "decide_us"),
        (f"whole decision, {RULES} rules", "rules_us"),
        ("… with three lists of a million, and the breaker", "guarded_us"),
    ):
        table.add_row(label, f"{figures[key]:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"function ÷ library's list: {figures['ratio']:.3f}; "
        f"{RULES} rules load in {figures['load_ms']:.1f} ms"
    )
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
