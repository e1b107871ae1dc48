"""Which payments a share of traffic holds: the same ones, and more as it rises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from scoring.core.transaction.transaction import Transaction

_POINTS = 2.0**64


def point_of(transaction: Transaction, salt: str) -> float:
    """Where a payment lies in [0, 1): a share holds it where this is below the share.

    By tenant and payment, so that every attempt of a payment lies at one point: the
    first 8 bytes of the SHA-256 of "salt:tenant:payment_id", big-endian. A payment
    without a `payment_id` is its transaction. Each `salt` has an order of its own.

    >>> first = Transaction("shop", "t1", payment_id="p1")
    >>> again = Transaction("shop", "t2", payment_id="p1")
    >>> point_of(first, "a") == point_of(again, "a") < 1
    True
    >>> point_of(first, "a") == point_of(first, "b")
    False
    """
    payment = transaction.payment_id or transaction.id
    digest = sha256(f"{salt}:{transaction.tenant}:{payment}".encode()).digest()
    # Below 1 even for the largest hash, which as a float would be 2**64.
    return (int.from_bytes(digest[:8], "big") >> 11 << 11) / _POINTS


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The clauses that act for a share of the payments: (bit, share, salt) each."""

    clauses: tuple[tuple[int, float, str], ...] = ()
    mask: int = 0

    def quiet(self, held: int, transaction: Transaction) -> int:
        """The mask of the clauses that act as shadow for this payment.

        Of those that are `held` (a mask) only: nothing else asks for anything.
        """
        if not held & self.mask:  # nearly always
            return 0
        return sum(
            bit
            for bit, share, salt in self.clauses
            if held & bit and point_of(transaction, salt) >= share
        )


def rollouts(shares: Iterable[tuple[str, float | None]]) -> Rollouts:
    """The rollouts of clauses in their order: (name, share), None for all payments.

    >>> few = rollouts([("a", None), ("b", 0.001)])
    >>> few.mask, few.quiet(0b11, Transaction("shop", "t1"))
    (2, 2)
    """
    clauses = tuple(
        (1 << i, share, f"rule/{name}")
        for i, (name, share) in enumerate(shares)
        if share is not None and share < 1
    )
    return Rollouts(clauses, sum(bit for bit, *_ in clauses))
