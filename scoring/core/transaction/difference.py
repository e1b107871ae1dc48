"""In which fields a payment differs from the one that was decided under its id."""

from __future__ import annotations

from scoring.core.transaction.transaction import FIELDS, Transaction


def differing(decided: Transaction, sent: Transaction) -> tuple[str, ...]:
    """The names of the fields that differ, in field order; never a value.

    `decided` may lack its attributes, as records of an earlier release do: they are
    named where nothing else differs, for then nothing else is left of two payloads with
    other hashes.

    >>> first = Transaction("default", "t1", occurred_at_ms=1, amount_minor=0)
    >>> differing(first, Transaction("default", "t1", occurred_at_ms=2))
    ('occurred_at', 'amount_minor')
    >>> differing(first, first)
    ('attributes',)
    """
    found = [
        field.path.partition(".")[0]  # as callers write it
        for field in FIELDS
        if (field.name != "attributes" or decided.attributes)
        and getattr(decided, field.name) != getattr(sent, field.name)
    ]
    return tuple(dict.fromkeys(found)) or ("attributes",)
