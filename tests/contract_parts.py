"""Payments of the contract suites, and how a store is asked about them."""

from dataclasses import replace

from streams import HOUR_MS, START_MS, check

from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.vector import vectorise
from scoring.core.transaction.transaction import Transaction
from scoring.ports.follow_ups import LabelledTransaction
from scoring.ports.records import Recording

CATALOGUE = default_catalogue()
PAID = Transaction(
    "default",
    "t1",
    payment_id="p1",
    occurred_at_ms=START_MS,
    amount_minor=1_000,
    currency="EUR",
    card="card-1",
    customer="customer-1",
    merchant="merchant-1",
    terminal="terminal-1",
    device="device-1",
)


def at(hours, id_, **changes):
    return replace(
        PAID, id=id_, occurred_at_ms=START_MS + int(hours * HOUR_MS), **changes
    )


async def observed(store, *transactions, dry_run=False):
    return await store.observe([check(t, dry_run=dry_run) for t in transactions])


def feature(t, observation, name):
    matrix = vectorise(CATALOGUE, [t], [observation.values])
    return float(matrix[0, CATALOGUE.names.index(name)])


def recording(t, decision=b"decision", logged=None):
    return Recording(
        tenant=t.tenant,
        transaction_id=t.id,
        payload_hash=check(t).payload_hash,
        decision=decision,
        logged=logged,
    )


def fraud(t, known_at_ms=START_MS + HOUR_MS):
    return LabelledTransaction(
        transaction=t, version=1, fraud=True, known_at_ms=known_at_ms
    )
