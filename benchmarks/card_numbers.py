"""Whether card numbers are found in every guise, and nothing else is taken for one.

    make bench NAME=card_numbers [IDS=10000000]

One corpus holds numbers of every scheme in every guise that people send them in; the
other ids that are none: UUIDs, ULIDs, hexadecimal and prefixed tokens, trace contexts,
valid IBANs. IDS is shared out among their kinds. The cost is that of validating one
ordinary payment, beside the same with the rule that was there before: whole runs of
digits with single separators between them, whatever they stand in.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from time import process_time
from unittest import mock
from uuid import UUID

from rich.console import Console
from rich.progress import track
from rich.table import Table

from scoring.core.transaction.card_number import holds_card_number, is_card_number
from scoring.core.transaction.transaction import Transaction, validate
from scoring.errors import InvalidTransaction

IDS = int(os.environ.get("IDS", "1000000"))
SEED, TIMED, ROUNDS = 20, 20_000, 7
NOW_MS = 1_790_000_000_000
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BASE62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Numbers that the schemes publish for tests.
CARDS = {
    "Visa": "4111111111111111",
    "Visa 13": "4222222222222",
    "Visa 19": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard 2": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners": "30569309025904",
    "JCB": "3566002020360505",
    "UnionPay": "6200000000000005",
    "Maestro": "6759649826438453",
}
SEPARATORS = {
    "blanks": " ", "dashes": "-", "dots": ".", "slashes": "/", "underscores": "_",
    "colons": ":", "commas": ",", "pluses": "+", "bars": "|", "tabs": "\t",
    "lines": "\n", "no-break spaces": "\u00a0", "narrow spaces": "\u202f",
    "ideographic spaces": "\u3000", "en dashes": "\u2013", "em dashes": "\u2014",
    "minuses": "\u2212", "hyphens": "\u2010", "middle dots": "\u00b7",
    "zero width": "\u200b", "two blanks": "  ", "dash in blanks": " - ",
    "%20": "%20", "&nbsp;": "&nbsp;", "stars": "*", "equals": "=",
}  # fmt: skip
AROUND = {
    "alone": "{}", "in words": "card {} please", "with its end": "{} 12/25",
    "with its end and code": "{} 12/25 123", "after a number": "1 {}",
    "after a date": "2026-11-29 {}", "after a time": "2026-11-29T10:00:00Z {}",
    "before a date": "{} 2026-11-29", "after a colon": "pan:{}",
    "as a parameter": "card={}&cvv=123", "as a prefixed token": "tok_{}",
    "in letters": "PAN{}X", "in brackets": "({})", "in quotes": '"{}"',
    "after a hash": "#{}", "on track 1": "%B{}^DOE/J^25121010000?",
    "on track 2": ";{}=25121010000012300000?",
    "on a chip's track": "{}D25121010000012345",
    "two of them": "{0}, {0}", "after an accent": "\u00e9 {}", "at an end": "id-{}.",
    "in XML": "<pan>{}</pan>", "with an amount": "EUR 12.50 {}",
    "after a phone": "+49 30 12345 {}",
}  # fmt: skip


def grouped(number: str, separator: str) -> str:
    """As it is printed: 4-6-5 and 4-6-4, else in fours."""
    if len(number) in {14, 15}:
        parts = [number[:4], number[4:10], number[10:]]
    else:
        parts = [number[i : i + 4] for i in range(0, len(number), 4)]
    return separator.join(parts)


def guises(number: str) -> Iterator[tuple[str, str]]:
    """Every way in which the number is written, by name."""
    for name, around in AROUND.items():
        yield name, around.format(number)
        yield f"{name}, in fours", around.format(grouped(number, " "))
        yield f"{name}, dashed", around.format(grouped(number, "-"))
    for name, separator in SEPARATORS.items():
        yield name, grouped(number, separator)
    yield "digit by digit", " ".join(number)
    yield "full-width", "".join(chr(0xFF10 + int(d)) for d in number)
    yield "Arabic-Indic", "".join(chr(0x660 + int(d)) for d in number)
    yield "Devanagari", "".join(chr(0x966 + int(d)) for d in number)


def iban(chance: random.Random) -> str:
    country, bank, digits = chance.choice(
        [("DE", "", 18), ("GB", "NWBK", 14), ("NL", "INGB", 10), ("FR", "", 23),
         ("AT", "", 16), ("ES", "", 20), ("CH", "", 17), ("BE", "", 12)]
    )  # fmt: skip
    rest = bank + "".join(chance.choices("0123456789", k=digits))
    turned = "".join(str(int(c, 36)) for c in f"{rest}{country}00")
    return f"{country}{98 - int(turned) % 97:02d}{rest}"


def uuid7(chance: random.Random) -> str:
    ms = NOW_MS + chance.randrange(10**9)
    low = chance.getrandbits(62) | 2 << 62
    return str(UUID(int=ms << 80 | 7 << 76 | chance.getrandbits(12) << 64 | low))


KINDS: dict[str, Callable[[random.Random], str]] = {
    "UUID v4": lambda r: str(UUID(int=r.getrandbits(128), version=4)),
    "UUID v7": uuid7,
    "ULID": lambda r: "01K" + "".join(r.choices(CROCKFORD, k=23)),
    "hexadecimal, 32": lambda r: f"{r.getrandbits(128):032x}",
    "hexadecimal, 64": lambda r: f"{r.getrandbits(256):064x}",
    "tok_ and hexadecimal": lambda r: f"tok_{r.getrandbits(96):024x}",
    "tok_ and base 62": lambda r: "tok_" + "".join(r.choices(BASE62, k=24)),
    "traceparent": lambda r: (
        f"00-{r.getrandbits(128):032x}-{r.getrandbits(64):016x}-01"
    ),
    "IBAN": iban,
}


def missed() -> list[tuple[str, str]]:
    return [
        (scheme, guise)
        for scheme, number in CARDS.items()
        for guise, text in guises(number)
        if not holds_card_number(text)
    ]


def false_refusals(count: int) -> dict[str, list[str]]:
    chance = random.Random(SEED)
    each = max(count // len(KINDS), 1)
    silent = not sys.stderr.isatty()
    return {
        name: [
            text
            for text in (make(chance) for _ in track(range(each), name, disable=silent))
            if holds_card_number(text)
        ]
        for name, make in KINDS.items()
    }


def payment(chance: random.Random) -> Transaction:
    token = KINDS["UUID v4"]
    return Transaction(
        "default", token(chance), occurred_at_ms=NOW_MS, amount_minor=4_999,
        currency="EUR", card=KINDS["tok_ and hexadecimal"](chance),
        customer=f"customer-{chance.randrange(10**6)}", merchant="shop-3",
        device=token(chance), attributes={"basket": "3 books"},
    )  # fmt: skip


_RUN = re.compile(r"(?<![0-9])[0-9](?:[ ./_-]?[0-9]){11,18}(?![ ./_-]?[0-9])")
_NOUGHTS = bytes(48 if byte in b"0123456789" else 120 for byte in range(256))
_SEPARATORS = str.maketrans("", "", " ./_-")


def may_hold_before(text: str) -> bool:
    return b"0" * 12 in text.encode().translate(_NOUGHTS, b" ./_-")


def field_before(texts: Mapping[str, str], exempt: frozenset[str]) -> str | None:
    if not may_hold_before("\n".join(texts.values())):
        return None
    for name, text in texts.items():
        if name not in exempt and may_hold_before(text):
            found = (run.group().translate(_SEPARATORS) for run in _RUN.finditer(text))
            if any(map(is_card_number, found)):
                return name
    return None


def us_per_tx() -> dict[str, float]:
    chance = random.Random(SEED)
    payments = [payment(chance) for _ in range(TIMED)]
    before = {
        "may_hold_card_number": may_hold_before,
        "field_with_card_number": field_before,
    }
    best = {"now": float("inf"), "before": float("inf")}
    for _ in range(ROUNDS):
        for name, rule in (("now", {}), ("before", before)):
            with mock.patch.dict(validate.__globals__, rule):
                start = process_time()
                for one in payments:
                    with suppress(InvalidTransaction):
                        validate(one)
                best[name] = min(best[name], (process_time() - start) / TIMED * 1e6)
    return best


def main() -> None:
    lost, refused, cost = missed(), false_refusals(IDS), us_per_tx()
    table = Table(title=f"{IDS:,} ids of {len(KINDS)} kinds")
    for column in ("kind", "taken for a card number", "such as"):
        table.add_column(column)
    for name, found in refused.items():
        table.add_row(name, str(len(found)), found[0] if found else "")
    console = Console()
    console.print(table)
    count = sum(1 for number in CARDS.values() for _ in guises(number))
    console.print(f"{count} guises of {len(CARDS)} schemes, missed: {lost or 'none'}")
    figures = {
        "guises": count,
        "missed": len(lost),
        "ids": IDS,
        "false_refusals": sum(map(len, refused.values())),
        "us_per_tx": round(cost["now"], 2),
        "us_per_tx_before": round(cost["before"], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
