"""What counts as a card number in a text, and how its digits are overwritten.

A group of 13 to 19 digits that could stand alone, Luhn-valid, with the prefix and
length of a large scheme (ISO/IEC 7812). Digits of every script count, and between
them any punctuation or blank. What is a token of another known shape is none: a UUID,
a ULID, hexadecimal, an IBAN, a W3C trace context.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise

DIGITS_MIN, DIGITS_MAX = 13, 19
_NOUGHTS = b"0" * DIGITS_MIN
# Digits become noughts, letters stay in the way, and all else goes: nearly no text
# then has a run that is long enough.
_QUICK = bytes(48 if byte in b"0123456789" else 120 for byte in range(256))
_BETWEEN = bytes(byte for byte in range(128) if not chr(byte).isalnum())
# Digit chunks with a few characters between them that are no letters.
_CHUNK = re.compile(r"[0-9]+")
_GAP = re.compile(r"[^0-9A-Za-z]{1,6}")
_ESCAPED_BLANK = re.compile(r"%20|&nbsp;|&#160;|%C2%A0|%2D", re.IGNORECASE)
# How cards are printed: groups of these lengths are one whatever is between them.
_LAYOUTS = frozenset(
    {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 1), (4, 4, 5)}
    | {(8, 8), (4, 12), (12, 4), (6, 10), (6, 6, 4), (4, 4, 8), (8, 4, 4), (4, 8, 4)}
)
# Others only where the same is between them all, and are no telephone number.
_CHUNK_MAX, _UNUSUAL_MIN = 6, 15
_ALONE_BEFORE, _ALONE_AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_TOKEN = re.compile(
    _ALONE_BEFORE + r"(?:"
    # A trace context, a UUID, a ULID; then what `_is_token` has to look at.
    r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
    r"|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}"
    r"-[0-9a-fA-F]{12}"
    r"|(?P<ulid>[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-7][0-9a-hjkmnp-tv-z]{25})"
    r"|(?P<hex>[0-9a-f]{16,}|[0-9A-F]{16,})"
    r"|(?P<iban>[A-Za-z]{2}[0-9]{2}(?:[0-9A-Za-z]{11,30}"
    r"|(?: [0-9A-Za-z]{4}){2,7}(?: [0-9A-Za-z]{1,4})?))"
    r")" + _ALONE_AFTER
)
# What a magnetic stripe and a chip say, with the letters B and D, is not hexadecimal.
_TRACK = re.compile(r"%B[0-9]{13,19}|.?[0-9]{1,19}D[0-9]{4,}F?", re.DOTALL)

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
    """Whether the text holds a card number.

    >>> holds_card_number("card 4111 1111 1111 1111 12/25"), holds_card_number("tok_41")
    (True, False)
    >>> holds_card_number("41111111-1111-4111-8111-111111111111")
    False
    """
    return may_hold_card_number(text) and any(_numbers_in(_plain(text)))


def may_hold_card_number(text: str) -> bool:
    """False where there is no digit run that is long enough: nearly always, and quick.

    >>> may_hold_card_number("4111 1111 1111 1111"), may_hold_card_number("tok_41")
    (True, False)
    """
    if not text.isascii():
        text = _plain(text)
    elif "%" in text or "&" in text:
        return True
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
            # The name may itself be the caller's text (an attribute key).
            return "attributes" if name.startswith("attributes") else name
    return None


def masked_text(text: str) -> tuple[str, bool]:
    """The text with the digits of every card number overwritten, and whether any was.

    The length never changes, so positions in the original still make sense.

    >>> masked_text("4111-1111-1111-1111, 12/25")
    ('XXXX-XXXX-XXXX-XXXX, 12/25', True)
    """
    if not may_hold_card_number(text):
        return text, False
    plain, shown, found = _plain(text), list(text), False
    for start, end in _numbers_in(plain):
        found = True
        for place in range(start, end):
            if plain[place].isdecimal():
                shown[place] = "X"
    return "".join(shown), found


def masked(raw: bytes) -> tuple[bytes, bool]:
    """`masked_text` of bytes; what is not UTF-8 stays as it is.

    >>> masked(b'{"card":"4111111111111111"}')
    (b'{"card":"XXXXXXXXXXXXXXXX"}', True)
    """
    text, found = masked_text(raw.decode(errors="surrogateescape"))
    return text.encode(errors="surrogateescape"), found


def _plain(text: str) -> str:
    """The text, as long, in ASCII digits, letters and blanks; tokens are letters."""
    if not text.isascii():
        text = "".join(map(_as_ascii, text))
    text = _ESCAPED_BLANK.sub(lambda blank: " " * len(blank[0]), text)
    return _TOKEN.sub(_hidden, text)


@lru_cache(maxsize=4_096)
def _as_ascii(character: str) -> str:
    if character.isascii():
        return character
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    return "x" if character.isalnum() else " "


def _hidden(token: re.Match[str]) -> str:
    """Letters in place of a token; what only looked like one stays."""
    return "x" * len(token[0]) if _is_token(token) else token[0]


def _is_token(found: re.Match[str]) -> bool:
    word = found[0]
    if found["ulid"]:
        return not word.isdecimal()
    if found["hex"]:
        even = len(word) % 2 == 0 and not word.isdecimal()
        start, end = found.span()
        return even and not _TRACK.fullmatch(found.string, max(start - 1, 0), end)
    return not found["iban"] or _is_iban(word.replace(" ", "").upper())


def _is_iban(word: str) -> bool:
    """ISO 13616: the check digits make the rest of 97 one."""
    turned = word[4:] + word[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def _numbers_in(plain: str) -> Iterator[tuple[int, int]]:
    """Where card numbers stand, from the first digit to past the last."""
    for chain in _chains(plain):
        last = -1
        for i in range(len(chain)):
            if i <= last:
                continue
            last = _longest(plain, chain, i)
            if last >= i:
                yield chain[i].start(), chain[last].end()


def _chains(plain: str) -> Iterator[list[re.Match[str]]]:
    """Chunks of digits that only a few characters keep apart."""
    chain: list[re.Match[str]] = []
    for chunk in _CHUNK.finditer(plain):
        if chain and not _GAP.fullmatch(plain, chain[-1].end(), chunk.start()):
            yield chain
            chain = []
        chain.append(chunk)
    if chain:
        yield chain


def _longest(plain: str, chain: list[re.Match[str]], first: int) -> int:
    """The last chunk of the longest card number from a chunk on; -1 where none is."""
    found, digits = -1, ""
    for i in range(first, len(chain)):
        digits += chain[i][0]
        if len(digits) > DIGITS_MAX:
            break
        if len(digits) >= DIGITS_MIN and _is_group(plain, chain[first : i + 1]):
            found = i if is_card_number(digits) else found
    return found


def _is_group(plain: str, chunks: list[re.Match[str]]) -> bool:
    """Whether chunks may be the parts of one number."""
    lengths = tuple(len(chunk[0]) for chunk in chunks)
    if len(chunks) == 1 or lengths in _LAYOUTS:
        return True
    gaps = {plain[a.end() : b.start()] for a, b in pairwise(chunks)}
    one_by_one = max(lengths) == 1
    usual = max(lengths) <= _CHUNK_MAX and sum(lengths) >= _UNUSUAL_MIN
    return (usual or one_by_one) and len(gaps) == 1
