"""Conflicts, told by the fields in which a payment differs from the one decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from scoring.core.transaction.difference import differing
from scoring.errors import TransactionConflict
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.check import Check

A = TypeVar("A")


async def explained(
    gateway: StoreGateway, checks: Sequence[Check], answers: Sequence[A]
) -> list[A | TransactionConflict]:
    """The same answers, each conflict naming the fields that differ.

    It stays unnamed where the store does not say in time what was decided, or its
    payment was not kept: it is decided just now, or an earlier release did.
    """
    told: list[A | TransactionConflict] = list(answers)
    places = [
        i
        for i, answer in enumerate(answers)
        if isinstance(answer, TransactionConflict) and not answer.differing
    ]
    if not places:
        return told
    keys = [(checks[i].transaction.tenant, checks[i].transaction.id) for i in places]
    decided = await gateway.payments(keys)
    for i, payment in zip(places, decided, strict=True):
        if payment is not None:
            sent = checks[i].transaction
            told[i] = TransactionConflict(sent.id, differing(payment, sent))
    return told
