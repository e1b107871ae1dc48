"""What counts as a card number, and how its digits are overwritten.

A whole digit run (separators stripped) that is Luhn-valid and has a known issuer
prefix and length (ISO/IEC 7812; ranges of the large schemes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# A maximal run of 12-19 digits, single separators allowed between digits. The
# look-arounds make it a whole run: digits inside a longer number do not count.
_RUN = re.compile(r"(?<![0-9])[0-9](?:[ ./_-]?[0-9]){11,18}(?![ ./_-]?[0-9])")
_RUN_BYTES = re.compile(_RUN.pattern.encode())
_SEPARATORS = str.maketrans("", "", " ./_-")
_DIGITS = re.compile(rb"[0-9]")
_SEPARATOR_BYTES = b" ./_-"
_SHORTEST = b"0" * 12
# Every digit becomes a nought and everything else does not.
_NOUGHTS = bytes(b"0"[0] if byte in b"0123456789" else b"x"[0] for byte in range(256))

# (first prefix, last prefix, lengths): Visa, Mastercard, American Express,
# Discover, Diners, JCB, UnionPay, Maestro.
_ISSUERS: tuple[tuple[str, str, frozenset[int]], ...] = (
    ("4", "4", frozenset({13, 16, 19})),
    ("51", "55", frozenset({16})),
    ("2221", "2720", frozenset({16})),
    ("34", "34", frozenset({15})),
    ("37", "37", frozenset({15})),
    ("6011", "6011", frozenset({16, 19})),
    ("644", "649", frozenset({16, 19})),
    ("65", "65", frozenset({16, 19})),
    ("300", "305", frozenset({14, 16, 19})),
    ("36", "36", frozenset({14, 16, 19})),
    ("38", "39", frozenset({14, 16, 19})),
    ("3528", "3589", frozenset({16, 17, 18, 19})),
    ("62", "62", frozenset({16, 17, 18, 19})),
    ("50", "50", frozenset({12, 13, 14, 15, 16, 17, 18, 19})),
    ("56", "58", frozenset({12, 13, 14, 15, 16, 17, 18, 19})),
    ("6304", "6304", frozenset({12, 13, 14, 15, 16, 17, 18, 19})),
    ("6759", "6763", frozenset({12, 13, 14, 15, 16, 17, 18, 19})),
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # Luhn: twice the digit, digits summed


def is_card_number(digits: str) -> bool:
    """Whether a run of digits is a plausible card number.

    >>> is_card_number("4111111111111111"), is_card_number("4111111111111112")
    (True, False)
    """
    issued = any(
        first <= digits[: len(first)] <= last and len(digits) in lengths
        for first, last, lengths in _ISSUERS
    )
    return issued and _luhn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if place % 2 else int(digit)
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether any whole digit run in the text is a card number.

    >>> holds_card_number("card 4111 1111 1111 1111."), holds_card_number("tok_41")
    (True, False)
    """
    return may_hold_card_number(text) and any(
        is_card_number(run.group().translate(_SEPARATORS))
        for run in _RUN.finditer(text)
    )


def may_hold_card_number(text: str) -> bool:
    """False where there is no digit run that is long enough: nearly always, and quick.

    >>> may_hold_card_number("4111 1111 1111 1111"), may_hold_card_number("tok_41")
    (True, False)
    """
    return _SHORTEST in text.encode().translate(_NOUGHTS, _SEPARATOR_BYTES)


def field_with_card_number(
    texts: Mapping[str, str], exempt: frozenset[str]
) -> str | None:
    """The name of the first field that holds a card number, or None."""
    if not may_hold_card_number("\n".join(texts.values())):
        return None
    for name, text in texts.items():
        if name not in exempt and holds_card_number(text):
            # The name may itself be the caller's text (an attribute key).
            return "attributes" if name.startswith("attributes") else name
    return None


def masked(raw: bytes) -> tuple[bytes, bool]:
    """The bytes with the digits of every card number overwritten, and whether any was.

    The length never changes, so positions in the original still make sense.

    >>> masked(b'{"card":"4111111111111111"}')
    (b'{"card":"XXXXXXXXXXXXXXXX"}', True)
    """
    found = False

    def overwrite(run: re.Match[bytes]) -> bytes:
        nonlocal found
        if not is_card_number(run.group().decode("ascii").translate(_SEPARATORS)):
            return run.group()
        found = True
        return _DIGITS.sub(b"X", run.group())

    return _RUN_BYTES.sub(overwrite, raw), found
