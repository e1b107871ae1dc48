"""What counts as a card number in a text, and how its digits are overwritten.

A group of 13 to 19 digits that could be alone, Luhn-valid, with the prefix and
length of a large scheme (ISO/IEC 7812). Digits of every script count, and between
them any punctuation or blank; what is a token of another known shape is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as joined

from scoring.core.transaction.plain_text import (
    in_ascii,
    may_be_escaped,
    overwritten,
    readings,
)

DIGITS_MIN, DIGITS_MAX = 13, 19
_NOUGHTS = b"0" * DIGITS_MIN
# Digits become noughts, letters stay in the way, and all else goes: nearly no text
# then has a run that is long enough.
_QUICK = bytes(48 if byte in b"0123456789" else 120 for byte in range(256))
_BETWEEN = bytes(byte for byte in range(128) if not chr(byte).isalnum())
# The same of many texts, a line each.
_QUICK_LINES = _QUICK[:10] + b"\n" + _QUICK[11:]
_BETWEEN_LINES = _BETWEEN.replace(b"\n", b"")
# All digits of the text together, nothing escaped: then no other number is in it.
_ONE_RUN = re.compile(r"[^0-9%&\\]*+([0-9]{13,19})[^0-9%&\\]*+")
# Digit chunks with a few characters between them that are no letters.
_CHUNK = re.compile(r"([0-9]+)([^0-9A-Za-z]{1,6}(?=[0-9]))?")
# How cards are printed: groups of these lengths are one whatever is between them.
_LAYOUTS: dict[int, list[tuple[int, ...]]] = {
    4: [
        *((4, 4, 4, 4, 3), (4, 4, 4, 4, 1), (4, 4, 4, 4), (4, 12), (4, 4, 8)),
        *((4, 8, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (4, 4, 5)),
    ],
    6: [(6, 13), (6, 10), (6, 6, 4)],
    8: [(8, 8), (8, 4, 4)],
    12: [(12, 4)],
}
# Others only where the same is between them all, and are no telephone number.
_CHUNK_MAX, _UNUSUAL_MIN = 6, 15
# Numbers are in lists, too: with these between them, only a whole list is one.
_LISTING = frozenset(",;|")
# Zeros before it fill a number up to a fixed width.
_FILLED_MIN = 15
# A German mobile number with its country, as many write it without a sign.
_MOBILE = re.compile(r"491[5-7][0-9]{9,10}")

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
    ("50", "50", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("56", "58", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("6304", "6304", frozenset({13, 14, 15, 16, 17, 18, 19})),
    ("6759", "6763", frozenset({13, 14, 15, 16, 17, 18, 19})),
)
# Luhn: twice the digit, digits summed, for the characters of digits.
_ONCE = bytes(48) + bytes(range(10)) + bytes(198)
_TWICE = bytes(48) + bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)) + bytes(198)


def is_card_number(digits: str) -> bool:
    """Whether a run of digits is a plausible card number.

    >>> is_card_number("4111111111111111"), is_card_number("4111111111111112")
    (True, False)
    """
    return _luhn(digits.encode()) and any(
        first <= digits[: len(first)] <= last and len(digits) in lengths
        for first, last, lengths in _ISSUERS
    )


def _luhn(digits: bytes) -> bool:
    once, twice = digits[::-2].translate(_ONCE), digits[-2::-2].translate(_TWICE)
    return (sum(once) + sum(twice)) % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether the text holds a card number.

    >>> holds_card_number("card 4111 1111 1111 1111 12/25"), holds_card_number("tok_41")
    (True, False)
    >>> holds_card_number("41111111-1111-4111-8111-111111111111")
    False
    """
    if not may_hold_card_number(text):
        return False
    run = _ONE_RUN.fullmatch(text) if text.isascii() else None
    # Zeros in front of a number change nothing of its sum.
    if run is not None and not _luhn(run[1].encode()):
        return False
    return any(any(_numbers_in(read.text)) for read in readings(text))


def any_holds_card_number(texts: Sequence[str]) -> bool:
    """Whether one of the texts holds a card number; for many of them at once.

    >>> any_holds_card_number(["tok_41", "4111-1111", "1111-1111"])
    False
    >>> any_holds_card_number(["tok_41", "4111 1111 1111 1111"])
    True
    """
    lines = "\n".join(texts)
    if not lines.isascii() or may_be_escaped(lines) or lines.count("\n") >= len(texts):
        return any(map(holds_card_number, texts))
    quick = lines.encode().translate(_QUICK_LINES, _BETWEEN_LINES)
    if _NOUGHTS not in quick:
        return False
    return any(
        _NOUGHTS in line and holds_card_number(text)
        for line, text in zip(quick.split(b"\n"), texts, strict=True)
    )


def may_hold_card_number(text: str) -> bool:
    """False where there is no digit run that is long enough: nearly always, and quick.

    >>> may_hold_card_number("4111 1111 1111 1111"), may_hold_card_number("tok_41")
    (True, False)
    """
    if may_be_escaped(text):
        return True
    if not text.isascii():
        text = in_ascii(text)
    return _NOUGHTS in text.encode().translate(_QUICK, _BETWEEN)


def field_with_card_number(
    texts: Mapping[str, str], exempt: frozenset[str]
) -> str | None:
    """The name of the first field that holds a card number, or None."""
    # A letter between them: no two fields make one number.
    if not may_hold_card_number("x".join(texts.values())):
        return None
    for name, text in texts.items():
        if name not in exempt and holds_card_number(text):
            # What follows may itself be the caller's text (an attribute's key).
            return name.partition(".")[0].partition("[")[0]
    return None


def masked_text(text: str) -> tuple[str, bool]:
    """The text with the digits of every card number overwritten, and whether any was.

    The length never changes, so positions in the original still make sense; what was
    escaped is escaped still.

    >>> masked_text("4111-1111-1111-1111, 12/25")
    ('XXXX-XXXX-XXXX-XXXX, 12/25', True)
    """
    if not may_hold_card_number(text):
        return text, False
    shown, found = list(text), False
    for read in readings(text):
        for first, last in _numbers_in(read.text):
            found = True
            for place in range(first, last):
                if read.text[place].isdecimal():
                    start, end = read.spans[place] if read.spans else (place, place + 1)
                    shown[start:end] = overwritten(text[start:end])
    return "".join(shown), found


def masked(raw: bytes) -> tuple[bytes, bool]:
    """`masked_text` of bytes; what is not UTF-8 stays as it is.

    >>> masked(b'{"card":"4111111111111111"}')
    (b'{"card":"XXXXXXXXXXXXXXXX"}', True)
    """
    text, found = masked_text(raw.decode(errors="surrogateescape"))
    return text.encode(errors="surrogateescape"), found


@dataclass(frozen=True, slots=True)
class _Chain:
    """Chunks of digits that only a few characters keep apart: `gaps`, one fewer."""

    text: str
    chunks: Sequence[tuple[int, int]]
    gaps: Sequence[str]

    def sizes(self, first: int, last: int) -> tuple[int, ...]:
        return tuple(end - start for start, end in self.chunks[first : last + 1])

    def is_number(self, first: int, last: int) -> bool:
        parts = self.chunks[first : last + 1]
        return is_card_number("".join(self.text[start:end] for start, end in parts))


def _numbers_in(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers are, from the first digit to past the last."""
    for chain in _chains(text):
        yield from _whole(chain)
        for first, last in joined(_printed(chain), _even(chain)):
            yield chain.chunks[first][0], chain.chunks[last][1]


def _chains(text: str) -> Iterator[_Chain]:
    chunks: list[tuple[int, int]] = []
    gaps: list[str] = []
    for chunk in _CHUNK.finditer(text):
        chunks.append(chunk.span(1))
        gap = chunk[2]
        if gap is None:
            yield _Chain(text, chunks, gaps)
            chunks, gaps = [], []
        else:
            gaps.append(gap)


def _whole(chain: _Chain) -> Iterator[tuple[int, int]]:
    """Where chunks are a number each, without the zeros that fill it up."""
    for start, end in chain.chunks:
        if not DIGITS_MIN <= end - start <= DIGITS_MAX:
            continue
        digits = chain.text[start:end]
        bare = digits.lstrip("0")
        digits = bare if len(bare) >= _FILLED_MIN else digits
        if is_card_number(digits) and not _is_other(chain.text, start, digits):
            yield end - len(digits), end


def _is_other(text: str, start: int, digits: str) -> bool:
    """Whether 13 digits are an article's number (GTIN-13) or a telephone's (E.164)."""
    if len(digits) != DIGITS_MIN:
        return False
    article = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0
    signed = (
        text[max(start - 1, 0) : start] == "+" and not text[: start - 1][-1:].isdigit()
    )
    return article or signed or _MOBILE.fullmatch(digits) is not None


def _printed(chain: _Chain) -> Iterator[tuple[int, int]]:
    """Chunks in the layout of a card."""
    if not chain.gaps:
        return
    for first, (start, end) in enumerate(chain.chunks):
        for layout in _LAYOUTS.get(end - start, ()):
            last = first + len(layout) - 1
            if (
                chain.sizes(first, last) == layout
                and chain.is_number(first, last)
                and not _is_listed(chain.gaps, first, last)
            ):
                yield first, last


def _is_listed(gaps: Sequence[str], first: int, last: int) -> bool:
    """Whether chunks are a few of a longer list."""
    gap = gaps[first]
    if _LISTING.isdisjoint(gap) or any(g != gap for g in gaps[first:last]):
        return False
    return gap in {*gaps[max(first - 1, 0) : first], *gaps[last : last + 1]}


def _even(chain: _Chain) -> Iterator[tuple[int, int]]:
    """Chunks with the same between them all, and something else around."""
    for first, last in _runs(chain.gaps):
        if not 0 < last - first < DIGITS_MAX:
            continue
        sizes = chain.sizes(first, last)
        least = DIGITS_MIN if max(sizes) == 1 else _UNUSUAL_MIN
        usual = max(sizes) <= _CHUNK_MAX and least <= sum(sizes) <= DIGITS_MAX
        if usual and chain.is_number(first, last):
            yield first, last


def _runs(gaps: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and last chunk of runs with equal gaps; an end may be another's."""
    first = 0
    for i in range(1, len(gaps) + 1):
        if i < len(gaps) and gaps[i] == gaps[first]:
            continue
        for start in {first, first + (first > 0)}:
            for end in {i, i - (i < len(gaps))}:
                yield start, end
        first = i
