"""Decisions files as a replay writes them, of payments and rules made up here."""

from scoring.core.transaction.transaction import Transaction
from scoring.replay.collect import Collector
from scoring.tables.admission import Row
from scoring.v1 import decision_pb2

FIRST_MS = 1_522_540_800_000
ASKS = {"velocity": ("enforce", "DECLINE"), "device": ("shadow", "REVIEW")}


def played(path, payments):
    """A decisions file of (outcome, fraud, rules, amount, currency) each."""
    collector = Collector(path)
    for n, (outcome, fraud, rules, amount, currency) in enumerate(payments):
        transaction = Transaction(
            "default",
            f"t{n}",
            occurred_at_ms=FIRST_MS + n * 1_000,
            amount_minor=amount,
            currency=currency,
            card="c1",
            merchant="shop-17",
        )
        collector.expect([Row(transaction, fraud, FIRST_MS)])
        collector.take(decided(f"t{n}", outcome, rules))
    collector.close()
    return path


def decided(id_, outcome, rules):
    message = decision_pb2.Decision()
    core = message.core
    core.transaction_id, core.score = id_, 0.5
    core.outcome = decision_pb2.Outcome.Value(f"OUTCOME_{outcome}")
    core.versions.policy, core.versions.model = "p1", "m1"
    core.reasons.add(code="BUSY" if rules else "RISK")
    for rule in rules:
        name = rule.rstrip("?")
        mode, asks = ASKS[name]
        core.rule_hits.add(
            rule=name,
            mode=decision_pb2.RuleMode.Value(f"RULE_MODE_{mode.upper()}"),
            outcome=decision_pb2.Outcome.Value(f"OUTCOME_{asks}"),
            unknown=rule.endswith("?"),
        )
    return message
