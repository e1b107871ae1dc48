"""One row of text to one transaction, admitted or refused as the doors would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scoring.core.transaction.label import validate_order
from scoring.core.transaction.transaction import (
    DEFAULT_TENANT,
    TOKEN_FIELDS,
    Transaction,
    validate,
)
from scoring.errors import BadArtifact, InvalidTransaction
from scoring.tables.cells import (
    BadCell,
    amount_minor,
    fraud,
    minor_digits,
    outcome,
    parser,
    real,
    unrounded,
    whole,
)
from scoring.tables.mapping import TableMapping
from scoring.tables.row_accounting import NOWHERE, Place
from scoring.tables.source import SourceRow

_REQUIRED = ("id", "occurred_at")
_NO_LABEL = (
    "the label is no known word, 0 or 1; say what its values mean in the mapping, as "
    "in labels: {fraud: [chargeback], legitimate: [ok]}"
)
_NO_OUTCOME = (
    "the outcome is not one of approve, challenge, review and decline; say what its "
    "values mean in the mapping, as in outcomes: {decline: [refused]}"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One transaction and what the table says it turned out to be.

    `fraud` is None where the table has no label; `known_at_ms` is when the label
    became known. `outcome` is what was decided at the time (approve, challenge,
    review, decline), empty where the table does not say it. `place` is where the row
    is in its file.
    """

    transaction: Transaction
    fraud: bool | None
    known_at_ms: int
    place: Place = NOWHERE
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is not known of an admitted row: what, of which field, and why."""

    what: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What came of a row's payment: its label and outcome, and what is not known."""

    fraud: bool | None = None
    known_at_ms: int | None = None
    outcome: str = ""
    lacking: tuple[Lack, ...] = ()


class Admission:
    """Reads rows by a mapping; `exempt` as the doors have it (`SCORING_NUMERIC_IDS`).

    `floats` names the columns that were floats before they were text.
    """

    def __init__(
        self,
        mapping: TableMapping,
        *,
        floats: frozenset[str] = frozenset(),
        exempt: frozenset[str] = frozenset(),
    ) -> None:
        self._mapping = mapping
        self._exempt = exempt
        self._missing = frozenset(mapping.missing)
        # Numbered in the order of the table, so that every reading gives the same.
        self._numbers: dict[str, dict[str, int]] = {f: {} for f in mapping.tokenise}
        self._columns = {field: mapping.columns_of(field) for field in mapping.columns}
        self._floats_of = {
            field
            for field, columns in self._columns.items()
            if floats.intersection(columns)
        }
        apart = ("amount", "fraud", "known_at", "outcome")
        self._said_fields = {*mapping.columns, *mapping.constants}
        self._fields = {
            field: parser(field, mapping)
            for field in mapping.columns
            if field not in apart
        }
        self._known_at = parser("known_at", mapping)
        self._constants = {
            field: _constant(field, mapping)
            for field in mapping.constants
            if field not in apart
        }

    def transaction(self, record: SourceRow, number: int) -> Transaction:
        """The transaction of a row; raises `InvalidTransaction` naming the column.

        `number` is the row's own in the whole table.
        """
        if record.problem:
            raise InvalidTransaction("", record.problem)
        cells = record.cells
        filled: dict[str, object] = {"tenant": DEFAULT_TENANT, **self._constants}
        if self._mapping.row_numbers_as_ids:
            filled["id"] = f"row-{number}"
        for field, parse in self._fields.items():
            text = self._text(field, cells)
            if text:
                filled[field] = self._parsed(field, text, parse)
            elif field in _REQUIRED:
                raise InvalidTransaction(self._said(field), "is required")
        filled["amount_minor"] = self._amount(cells, str(filled.get("currency", "")))
        filled["occurred_at_ms"] = filled.pop("occurred_at")
        filled["attributes"] = self._attributes(cells)
        filled["numbers"] = self._numbers_of(cells)
        transaction = Transaction(**filled)  # type: ignore[arg-type]
        validate(transaction, exempt=self._exempt)
        return transaction

    def truth(self, record: SourceRow, transaction: Transaction) -> Aftermath:
        """What came of the row's payment, and what is not known of it; never raises."""
        cells, lacking = record.cells, []
        if transaction.amount_minor is None:
            lacking.append(Lack("amount", "amount", "the cell is empty"))
        verdict, known_at_ms, why_not = self._label(cells, transaction)
        if why_not:
            lacking.append(Lack("label", "fraud", why_not))
        decided, why_not = self._outcome(cells)
        if why_not:
            lacking.append(Lack("outcome", "outcome", why_not))
        return Aftermath(verdict, known_at_ms, decided, tuple(lacking))

    def _label(
        self, cells: Mapping[str, str], transaction: Transaction
    ) -> tuple[bool | None, int | None, str]:
        """Fraud or not, when it became known, and why nothing is known."""
        if "fraud" not in self._said_fields:
            return None, None, ""
        text = self._text_or_constant("fraud", cells)
        if not text:
            return None, None, "the label is empty"
        verdict = fraud(text, self._mapping.labels)
        if verdict is None:
            return None, None, _NO_LABEL
        known = self._text_or_constant("known_at", cells)
        if not known:
            return verdict, None, ""
        try:
            known_at_ms = int(str(self._known_at(known.strip())))
            validate_order(known_at_ms, transaction)
        except (BadCell, InvalidTransaction) as error:
            return None, None, f"{self._said('known_at')}: {error}"
        return verdict, known_at_ms, ""

    def _outcome(self, cells: Mapping[str, str]) -> tuple[str, str]:
        """What was decided, and why nothing is known of it."""
        if "outcome" not in self._said_fields:
            return "", ""
        text = self._text_or_constant("outcome", cells)
        if not text:
            return "", "the outcome is empty"
        found = outcome(text, self._mapping.outcomes)
        return found, "" if found else _NO_OUTCOME

    def _text_or_constant(self, field: str, cells: Mapping[str, str]) -> str:
        return self._text(field, cells) or self._mapping.constants.get(field, "")

    def _amount(self, cells: Mapping[str, str], currency: str) -> int | None:
        mapping = self._mapping
        text = self._text_or_constant("amount", cells)
        if not text:
            return None
        if mapping.amount_unit == "minor":
            return int(str(self._parsed("amount", text, whole)))

        def major(text: str) -> int:
            return amount_minor(text, minor_digits(currency), mapping.money)

        return int(str(self._parsed("amount", text, major)))

    def _attributes(self, cells: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for key, column in self._mapping.attributes.items():
            text = cells.get(column, "")
            if text and text not in self._missing:
                found[key] = text
        return found

    def _numbers_of(self, cells: Mapping[str, str]) -> dict[str, float]:
        found = {}
        for key, column in self._mapping.numbers.items():
            text = cells.get(column, "").strip()
            if text and text not in self._missing:
                try:
                    found[key] = real(text)
                except BadCell as error:
                    raise InvalidTransaction(column, str(error)) from error
        return found

    def _text(self, field: str, cells: Mapping[str, str]) -> str:
        """What is written for a field; empty where anything of it is absent."""
        texts = [cells.get(column, "") for column in self._columns.get(field, ())]
        if not all(text.strip() and text not in self._missing for text in texts):
            return ""
        return (" " if field in ("occurred_at", "known_at") else "-").join(texts)

    def _parsed(self, field: str, text: str, parse: Callable[[str], object]) -> object:
        """A token as it is, anything else without the blanks around it."""
        try:
            if field not in TOKEN_FIELDS:
                return parse(text.strip())
            if field in self._floats_of:
                text = unrounded(text)
            return self._tokenised(field, str(parse(text)))
        except BadCell as error:
            raise InvalidTransaction(self._said(field), str(error)) from error

    def _tokenised(self, field: str, text: str) -> str:
        numbers = self._numbers.get(field)
        if numbers is None:
            return text
        return f"{field}-{numbers.setdefault(text, len(numbers) + 1)}"

    def _said(self, field: str) -> str:
        """A field as the table's owner knows it: by its columns."""
        return " ".join(self._mapping.columns_of(field)) or field


def _constant(field: str, mapping: TableMapping) -> object:
    try:
        return parser(field, mapping)(mapping.constants[field])
    except BadCell as error:
        raise BadArtifact(f"mapping: constants.{field}: {error}") from error
