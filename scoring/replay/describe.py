"""Guessing which column is which: a mapping proposed for a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import sub
from typing import Any

import yaml

from scoring.core.card_number import holds_card_number
from scoring.errors import BadArtifact
from scoring.replay.mapping import SHIPPED, TableMapping, load_mapping, shipped_mapping
from scoring.replay.table import columns_of, sample_of

# Column names seen in payment tables, normalised (lower case, letters and digits
# only), best guess first.
_KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("transactionid", "txid", "transid", "transnum", "id", "eventid"),
    "payment_id": ("paymentid", "orderid", "paymentintent"),
    "attempt": ("attempt", "retry", "attemptno"),
    "occurred_at": (
        "occurredat", "occurredatms", "txdatetime", "transdatetranstime", "timestamp",
        "datetime", "transactiondate", "transactiontime", "createdat", "eventtime",
        "time", "date", "unixtime",
    ),
    "amount": (
        "amountminor", "amountcents", "amount", "txamount", "amt", "transactionamount",
        "transactionamt", "value",
    ),
    "currency": ("currency", "currencycode", "ccy"),
    "card": ("card", "cardid", "cardtoken", "ccnum", "card1", "pan", "cardhash"),
    "customer": (
        "customer", "customerid", "clientid", "userid", "accountid", "nameorig",
    ),
    "merchant": ("merchant", "merchantid", "merchantname", "shopid", "namedest"),
    "terminal": ("terminal", "terminalid", "posid", "deviceterminal"),
    "device": ("device", "deviceid", "devicefingerprint", "deviceinfo"),
    "channel": ("channel",),
    "entry_mode": ("entrymode", "posentrymode"),
    "merchant_category": ("merchantcategory", "mcc", "merchantcategorycode"),
    "card_country": ("cardcountry", "issuercountry", "bincountry"),
    "merchant_country": ("merchantcountry", "country"),
    "ip_country": ("ipcountry",),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "long", "lon", "lng"),
    "fraud": ("fraud", "isfraud", "txfraud", "class", "label", "fraudflag", "target"),
    "known_at": ("knownat", "labelledat", "chargebackat", "reportedat"),
}  # fmt: skip
_MINOR_NAMES = ("amountminor", "amountcents")
_SECONDS_MAX = 10**11  # as milliseconds: 1973; a larger number is milliseconds


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mapping in YAML and what the reader must still settle.

    `complete` is true where the text loads as a mapping.
    """

    text: str
    remarks: tuple[str, ...]
    complete: bool


@dataclass(slots=True)
class _Guess:
    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    amount_unit: str = "major"
    time_unit: str = "ms"


def mapping_for(path: Path) -> TableMapping | None:
    """The shipped mapping whose columns the table has, if there is one."""
    present = {name for name, _ in columns_of(path)}
    for name in SHIPPED:
        mapping = shipped_mapping(name)
        if present.issuperset(mapping.columns.values()):
            return mapping
    return None


def describe(path: Path) -> Proposal:
    """Propose a mapping for a table by its column names, types and first values."""
    shipped = mapping_for(path)
    if shipped is not None:
        text = yaml.safe_dump(
            shipped.model_dump(exclude_defaults=True), sort_keys=False
        )
        return Proposal(text, ("these are the columns of a shipped mapping",), True)
    return propose(columns_of(path), sample_of(path))


def propose(
    columns: Sequence[tuple[str, str]], sample: Mapping[str, Sequence[Any]]
) -> Proposal:
    """Propose a mapping for columns (name, type) with sampled values.

    >>> propose([("txId", "VARCHAR"), ("amt", "DOUBLE"), ("when", "TIMESTAMP")],
    ...     {}).remarks[0]
    'occurred_at: the only column that is a time'
    """
    guess = _Guess()
    normal = {sub(r"[^a-z0-9]", "", name.lower()): name for name, _ in columns}
    for ours, names in _KNOWN_NAMES.items():
        for name in names:
            if name in normal:
                guess.columns[ours] = normal[name]
                break
    _find_time_by_type(guess, columns)
    if "card" not in guess.columns and "customer" in guess.columns:
        guess.columns["card"] = guess.columns["customer"]
        guess.remarks.append("card: the customer's token stands in for the card's")
    _judge_amount(guess)
    _judge_time(guess, dict(columns), sample)
    _judge_required(guess)
    _judge_card_numbers(guess, sample)
    return Proposal(_text(guess), tuple(guess.remarks), _complete(guess))


def _find_time_by_type(guess: _Guess, columns: Sequence[tuple[str, str]]) -> None:
    times = [name for name, kind in columns if kind.startswith("TIMESTAMP")]
    if "occurred_at" not in guess.columns and len(times) == 1:
        guess.columns["occurred_at"] = times[0]
        guess.remarks.append("occurred_at: the only column that is a time")


def _judge_amount(guess: _Guess) -> None:
    column = guess.columns.get("amount", "")
    if sub(r"[^a-z]", "", column.lower()) in _MINOR_NAMES:
        guess.amount_unit = "minor"


def _judge_time(
    guess: _Guess, types: Mapping[str, str], sample: Mapping[str, Sequence[Any]]
) -> None:
    column = guess.columns.get("occurred_at", "")
    if not types.get(column, "").endswith(("INT", "INTEGER", "DOUBLE")):
        return
    values = [v for v in sample.get(column, ()) if v is not None]
    if values and max(values) < _SECONDS_MAX:
        guess.time_unit = "s"
        guess.remarks.append("occurred_at: read as seconds since 1970")


def _judge_required(guess: _Guess) -> None:
    for ours in ("id", "occurred_at", "amount"):
        if ours not in guess.columns:
            guess.remarks.append(
                f"{ours}: no column looks like it; name one under columns"
            )
    if "currency" not in guess.columns:
        guess.constants["currency"] = "EUR"
        guess.remarks.append("currency: no column looks like it; EUR is assumed")
    if "fraud" not in guess.columns:
        guess.remarks.append("fraud: no label found; no quality report is possible")


def _judge_card_numbers(guess: _Guess, sample: Mapping[str, Sequence[Any]]) -> None:
    for ours, column in guess.columns.items():
        if any(holds_card_number(str(value)) for value in sample.get(column, ())):
            guess.remarks.append(
                f"{ours}: column {column!r} holds card numbers, which are refused; "
                "replace them by tokens first"
            )


def _complete(guess: _Guess) -> bool:
    return all(ours in guess.columns for ours in ("id", "occurred_at", "amount"))


def _text(guess: _Guess) -> str:
    plain: dict[str, Any] = {"columns": guess.columns}
    if guess.constants:
        plain["constants"] = guess.constants
    plain["amount_unit"] = guess.amount_unit
    plain["time_unit"] = guess.time_unit
    if "fraud" in guess.columns:
        plain["label_delay"] = "7d"
    return yaml.safe_dump(plain, sort_keys=False)


def chosen_mapping(table: Path, name: str = "") -> TableMapping:
    """The mapping named (a shipped one or a file), or else the one that fits the table.

    Raises `BadArtifact` where the name is neither, or the columns are not obvious.
    """
    if name in SHIPPED:
        return shipped_mapping(name)
    if name:
        path = Path(name)
        if not path.is_file():
            raise BadArtifact(
                f"{name}: is neither a file nor one of {', '.join(SHIPPED)}"
            )
        return load_mapping(path.read_text(encoding="utf-8"), name=name)
    proposal = describe(table)
    if not proposal.complete:
        raise BadArtifact(
            f"{table.name}: its columns are not obvious. Write a mapping, starting "
            f"from `scoring replay --describe {table}`, and pass it by --mapping"
        )
    return load_mapping(proposal.text, name="the proposed mapping")
