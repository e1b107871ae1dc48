"""A text as a person reads it: digits of any script, escapes undone, tokens hidden.

What is a token of a known shape holds no number that a person wrote: a UUID, a ULID,
hexadecimal, an IBAN, an IPv6 address, a fraction, a W3C trace context.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

# As JSON, URLs and HTML write a character, and as they do once more over it.
_ESCAPE = re.compile(
    r"\\+u(?P<json>[0-9a-fA-F]{4})|\\+x(?P<byte>[0-9a-fA-F]{2})|\\+[nrt]"
    # Beyond ASCII only blanks and dashes: a stripe's text begins with %B and a digit.
    r"|%(?:25){0,3}(?:(?P<url>[0-7][0-9a-fA-F])|C2%(?:25){0,3}[89AB][0-9A-F]"
    r"|E2%(?:25){0,3}80%(?:25){0,3}[89AB][0-9A-F])"
    r"|&(?:amp;){0,3}(?:#0{0,6}(?P<html>[0-9]{1,7});"
    r"|#[xX]0{0,6}(?P<hex>[0-9a-fA-F]{1,6});|[A-Za-z]{2,8};)"
)
_ALONE_BEFORE, _ALONE_AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_TOKEN = re.compile(
    _ALONE_BEFORE + r"(?:"
    # A trace context, a UUID, a ULID; then what has to be looked at more closely.
    r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?<![.])[0-9]{1,3}\.[0-9]{10,}(?:[eE][+-]?[0-9]{1,3})?(?!\.?[0-9])"
    r"|(?P<ulid>[0-7][0-9A-HJKMNP-TV-Z]{25}|[0-7][0-9a-hjkmnp-tv-z]{25})"
    r"|(?P<hex>[0-9a-f]{16,}|[0-9A-F]{16,})"
    r"|(?P<iban>[A-Za-z]{2}[0-9]{2}(?:[0-9A-Za-z]{11,30}"
    r"|(?:[ -][0-9A-Za-z]{4}){2,7}(?:[ -][0-9A-Za-z]{1,4})?))"
    r"|(?P<ipv6>[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})"
    r")" + _ALONE_AFTER
)
# What a magnetic stripe and a chip say, with the letters B and D, is not hexadecimal;
# nor is a number that was filled up with an F to whole bytes.
_STRIPE = re.compile(r"B[0-9]{13,19}")
_TRACK = re.compile(
    r"([0-9]{1,19})D[0-9]{4,}F?|([0-9]{13,19})d[0-9]{4,}f?|(3[47][0-9]{13}|[0-9]{19})F"
)
# A chip's data in hexadecimal: the number itself, or its track, behind tag and length.
_CHIP = re.compile(
    r"(?:5A(?:07(?=[0-9]{13}F)|08(?=[0-9]{15}[0-9F])|0A(?=[0-9]{19}F))"
    r"|57(?:0[C-F]|1[0-3])(?=[0-9]{13,19}D[0-9]{4}))([0-9]{13,19})",
    re.IGNORECASE,
)
_CHIP_DIGITS = {"07": 13, "08": 16}
_LETTERS = re.compile(r"[A-Fa-f]+")


@dataclass(frozen=True, slots=True)
class Plain:
    """A text in ASCII digits, letters and signs; tokens are letters.

    `spans` says where each character was in the original; None where that is its own
    place.
    """

    text: str
    spans: Sequence[tuple[int, int]] | None = None


def readings(text: str) -> Iterator[Plain]:
    """The text as it is read: with its escapes undone, if there are any, and without.

    >>> [read.text for read in readings("\u0664 %34")]
    ['4 4', '4 %34']
    >>> [read.text[:3] for read in readings("550e8400-e29b-41d4-a716-446655440000")]
    ['xxx']
    """
    if may_be_escaped(text) and _ESCAPE.search(text):
        undone, spans = _unescaped(text)
        yield Plain(_TOKEN.sub(_hidden, in_ascii(undone)), spans)
    yield Plain(_TOKEN.sub(_hidden, in_ascii(text)))


def in_ascii(text: str) -> str:
    """Digits of every script as ASCII's, letters as x, all else as a blank."""
    return text if text.isascii() else "".join(map(_as_ascii, text))


def may_be_escaped(text: str) -> bool:
    """Whether a text may write characters otherwise than as themselves."""
    return "%" in text or "&" in text or "\\" in text


def overwritten(written: str) -> str:
    """An X in place of a digit, as long and escaped alike.

    >>> [overwritten(s) for s in ("4", r"\\u0034", "%34", "&#52;", "&#x34;")]
    ['X', '\\\\u0058', '%58', '&#88;', '&#x58;']
    """
    found = _ESCAPE.fullmatch(written)
    kind = found.lastgroup if found else None
    if found is None or kind is None:
        return "X" * len(written)
    start, end = found.span(kind)
    code = "88" if kind == "html" else "58"
    return written[:start] + code.zfill(end - start) + written[end:]


def _unescaped(text: str) -> tuple[str, list[tuple[int, int]]]:
    characters: list[str] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for escape in _ESCAPE.finditer(text):
        start, end = escape.span()
        characters += text[at:start]
        spans += ((i, i + 1) for i in range(at, start))
        characters.append(_said(escape))
        spans.append((start, end))
        at = end
    characters += text[at:]
    spans += ((i, i + 1) for i in range(at, len(text)))
    return "".join(characters), spans


def _said(escape: re.Match[str]) -> str:
    """The character that an escape means; a named one is a blank."""
    kind = escape.lastgroup
    if kind is None:
        return " "
    code = int(escape[kind], 10 if kind == "html" else 16)
    return chr(code) if code <= 0x10FFFF else " "  # noqa: PLR2004 - Unicode's last


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
    word, kind = token[0], token.lastgroup
    if kind == "ulid" and word.isdecimal():
        return word
    if kind == "hex":
        return _hexadecimal(token)
    if kind == "iban":
        size = _iban_size(word)
        return "x" * size + word[size:]
    return word if kind == "ipv6" and not _is_address(word) else "x" * len(word)


def _hexadecimal(token: re.Match[str]) -> str:
    word, start = token[0], token.start()
    runs = len(_LETTERS.findall(word))
    if not runs or (len(word) % 2 and runs == 1):
        return word
    if token.string[max(start - 1, 0) : start] == "%" and _STRIPE.fullmatch(word):
        return word
    if track := _TRACK.fullmatch(word):
        return (track[1] or track[2] or track[3]).ljust(len(word), "x")
    if chip := _CHIP.search(word):
        at = chip.start(1)
        digits = chip[1][: _CHIP_DIGITS.get(word[at - 2 : at])]
        return ("x" * at + digits).ljust(len(word), "x")
    return "x" * len(word)


def _iban_size(word: str) -> int:
    """How much of a word is an IBAN (ISO 13616: the check digits make 97's rest one).

    Where it is written in groups, the next words may look like groups of it.
    """
    size = len(word)
    while size:
        told = word[:size].replace(" ", "").replace("-", "").upper()
        turned = told[4:] + told[:4]
        if int("".join(str(int(c, 36)) for c in turned)) % 97 == 1:
            return size
        grouped = word[:size].rfind(" "), word[:size].rfind("-")
        size = max(*grouped, 0)
    return 0


def _is_address(word: str) -> bool:
    try:
        IPv6Address(word)
    except AddressValueError:
        return False
    return True
