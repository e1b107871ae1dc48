"""Members of the contract's enumerations, as people read them."""

from __future__ import annotations

from typing import Any


def word_in(enumeration: Any, number: int) -> str:
    """A member's own name; of a later release, its number.

    >>> from scoring.v1 import decision_pb2
    >>> word_in(decision_pb2.Outcome, 4), word_in(decision_pb2.Outcome, 99)
    ('decline', '99')
    >>> word_in(decision_pb2.DegradationCode, 1)
    'history unavailable'
    """
    by_number = enumeration.DESCRIPTOR.values_by_number
    if number not in by_number:
        return str(number)
    first = by_number[0].name.removesuffix("UNSPECIFIED")
    return str(by_number[number].name).removeprefix(first).replace("_", " ").lower()
