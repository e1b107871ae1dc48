"""Entries of a list from a file: CSV, or JSON lines; each mistake with its line."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from scoring.control.domain.entry_columns import EntryRow, checked_columns, entry_row
from scoring.control.domain.managed_lists import checked_entry
from scoring.errors import BadArtifact, InvalidTransaction

COLUMNS = ("token", "expires", "reason")
LINE_CHARACTERS_MAX = 10_000
PROBLEMS_MAX = 100
PART_COUNT = 50_000  # entries that are looked at together
_REMEDY = "the columns are token, expires and reason; only token is required"

# What a line says by `COLUMNS`, or what is wrong with it.
Values = tuple[str, str, str]
Line = tuple[int, Values | str]


@dataclass(slots=True)
class ListFile:
    """The entries of one file, for a list of `field`.

    Nothing of a file with a mistake is taken: `entries` raises `BadArtifact`, with up
    to `PROBLEMS_MAX` lines of the form "name:line: field: what; remedy". Once all are
    read, `sha256` is of the file's bytes, as `sha256sum` says it.
    """

    name: str
    field: str
    repeated: int = 0
    _digest: Any = dataclasses.field(default_factory=sha256)
    _problems: list[str] = dataclasses.field(default_factory=list)
    # By the hash of a token, signed: its end.
    _seen: dict[int, int] = dataclasses.field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The hash of what was read so far, hexadecimal."""
        digest: str = self._digest.hexdigest()
        return digest

    def entries(
        self, lines: Iterable[bytes], progress: Callable[[int], None]
    ) -> list[EntryRow]:
        """Each token once, in their order; `progress` is told of the count so far.

        In their order they go to the ends of the database's trees, not all over them.
        """
        entries: list[EntryRow] = []
        for part in self._parts(lines):
            entries += part
            progress(len(entries))
        if not entries and not self._problems:
            self._wrong(1, "token: there is none; " + _REMEDY)
        if self._problems:
            raise BadArtifact("\n".join(self._problems))
        entries.sort(key=itemgetter(0))
        return entries

    def _parts(self, lines: Iterable[bytes]) -> Iterator[list[EntryRow]]:
        texts = self._texts(lines)
        first = next(texts, "")
        read = self._json if first.lstrip().startswith("{") else self._csv
        rows = read(chain((first,), texts))
        while part := list(islice(rows, PART_COUNT)):
            yield self._at_once(part) or self._one_by_one(part)
            if len(self._problems) >= PROBLEMS_MAX:
                self._problems.append("… and perhaps more; reading ended here")
                return

    def _at_once(self, part: list[Line]) -> list[EntryRow] | None:
        """The entries of lines that are right and say nothing twice, else None."""
        values = [read for _, read in part if not isinstance(read, str)]
        if len(values) < len(part):
            return None
        found = checked_columns(self.field, *zip(*values, strict=True))
        if found is None:
            return None
        ends = {hashed: until_ms for _, hashed, until_ms, _ in found}
        if len(ends) < len(found) or not self._seen.keys().isdisjoint(ends):
            return None
        self._seen |= ends
        return found

    def _one_by_one(self, part: list[Line]) -> list[EntryRow]:
        """The entries of lines of which one has a mistake, or says something again."""
        entries = []
        for number, read in part:
            if (entry := self._checked(number, read)) is not None:
                entries.append(entry)
            if len(self._problems) >= PROBLEMS_MAX:
                break
        return entries

    def _checked(self, number: int, read: Values | str) -> EntryRow | None:
        """The entry of a line; None for a mistake, and for what was said before."""
        if isinstance(read, str):
            self._wrong(number, read)
            return None
        try:
            entry = entry_row(checked_entry(self.field, *read))
        except InvalidTransaction as error:
            self._wrong(number, str(error))
            return None
        token, hashed, until_ms, _ = entry
        before = self._seen.get(hashed)
        if before is None:
            self._seen[hashed] = until_ms
            return entry
        if before == until_ms:
            self.repeated += 1
        else:
            told = f"token: {token!r} is here again with another expiry"
            self._wrong(number, f"{told}; keep one of the two lines")
        return None

    def _wrong(self, number: int, told: str) -> None:
        self._problems.append(f"{self.name}:{number}: {told}")

    def _texts(self, lines: Iterable[bytes]) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            self._digest.update(line)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                self._wrong(number, "is not UTF-8; save the file as UTF-8")
                return
            if len(text) > LINE_CHARACTERS_MAX:
                told = f"is longer than {LINE_CHARACTERS_MAX} characters"
                self._wrong(number, f"{told}; is it one entry a line?")
                return
            yield text

    def _csv(self, texts: Iterable[str]) -> Iterator[Line]:
        rows = csv.reader(texts, strict=True)
        width = 0
        values: Callable[[list[str]], Any] = list
        try:
            for row in rows:
                if not row:
                    continue
                if not width:
                    header = [name.strip().lower() for name in row]
                    if why := _of_header(header):
                        yield rows.line_num, why
                        return
                    width, values = len(header), _values_by(header)
                elif len(row) != width:
                    told = f"has {len(row)} columns, the first line {width}"
                    yield rows.line_num, f"{told}; quote values that hold a comma"
                else:
                    row.append("")  # what a column that is not there says
                    yield rows.line_num, values(row)
        except csv.Error as error:
            yield rows.line_num, f"is no CSV: {error}"

    def _json(self, texts: Iterable[str]) -> Iterator[Line]:
        for number, text in enumerate(texts, 1):
            if text.strip():
                yield number, _of_json(text)


def _values_by(header: list[str]) -> Callable[[list[str]], Any]:
    """Takes the values of `COLUMNS` from a row that has an empty one at its end."""
    places = [header.index(name) if name in header else -1 for name in COLUMNS]
    return itemgetter(*places)


def _of_header(header: list[str]) -> str:
    """What is wrong with the first line of a CSV file, else ""."""
    if "token" not in header:
        return f"token: the first line does not name it: {header}; {_REMEDY}"
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        return f"{unknown[0]}: no such column; {_REMEDY}"
    if len(set(header)) != len(header):
        return "the first line names a column twice"
    return ""


def _of_json(text: str) -> Values | str:
    """The values of a line, or what is wrong with it."""
    try:
        read: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    if not isinstance(read, dict) or "token" not in read:
        return f'token: is required; write {{"token": "…"}}; {_REMEDY}'
    for name, value in read.items():
        if name not in COLUMNS:
            return f"{name}: no such field; {_REMEDY}"
        if not isinstance(value, str):
            return f"{name}: must be a text in quotes"
    return read["token"], read.get("expires", ""), read.get("reason", "")
