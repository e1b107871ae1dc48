"""Entries of a list from a file: CSV, or JSON lines; each mistake with its line."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scoring.control.domain.managed_lists import NewEntry, checked_entry
from scoring.core.release.list_release import token_hash
from scoring.errors import BadArtifact, InvalidTransaction

COLUMNS = ("token", "expires", "reason")
LINE_CHARACTERS_MAX = 10_000
PROBLEMS_MAX = 100
_REMEDY = "the columns are token, expires and reason; only token is required"


@dataclass(slots=True)
class ListFile:
    """The entries of one file, for a list of `field`.

    Nothing of a file with a mistake is taken: `entries` raises `BadArtifact` at its
    end, with up to `PROBLEMS_MAX` lines of the form "name:line: field: what; remedy".
    """

    name: str
    field: str
    repeated: int = 0
    _problems: list[str] = dataclasses.field(default_factory=list)
    _seen: dict[int, int] = dataclasses.field(
        default_factory=dict
    )  # hash of a token: its end
    _count: int = 0

    def entries(self, lines: Iterable[bytes]) -> Iterator[NewEntry]:
        """Each token once, in the order of the file."""
        texts = self._texts(lines)
        first = next(texts, "")
        read = self._json if first.lstrip().startswith("{") else self._csv
        for number, row in read(_with(first, texts)):
            if (entry := self._checked(number, row)) is not None:
                yield entry
            if len(self._problems) >= PROBLEMS_MAX:
                self._problems.append("… and perhaps more; reading ended here")
                break
        if not self._seen and not self._problems:
            self._wrong(1, "token: there is none; " + _REMEDY)
        if self._problems:
            raise BadArtifact("\n".join(self._problems))

    def _checked(self, number: int, row: dict[str, str] | str) -> NewEntry | None:
        """The entry of a row; None for a mistake, and for what was said before."""
        if isinstance(row, str):
            self._wrong(number, row)
            return None
        try:
            entry = checked_entry(
                self.field, row["token"], row.get("expires", ""), row.get("reason", "")
            )
        except InvalidTransaction as error:
            self._wrong(number, str(error))
            return None
        hashed = token_hash(entry.token)
        before = self._seen.setdefault(hashed, entry.until_ms)
        if before != entry.until_ms:
            told = f"token: {entry.token!r} is here again with another expiry"
            self._wrong(number, f"{told}; keep one of the two lines")
            return None
        if len(self._seen) == self._count:
            self.repeated += 1
            return None
        self._count += 1
        return entry

    def _wrong(self, number: int, told: str) -> None:
        self._problems.append(f"{self.name}:{number}: {told}")

    def _texts(self, lines: Iterable[bytes]) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
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

    def _csv(self, texts: Iterator[str]) -> Iterator[tuple[int, dict[str, str] | str]]:
        rows = csv.reader(texts, strict=True)
        header: list[str] = []
        try:
            for row in rows:
                if not row:
                    continue
                if not header:
                    header = [name.strip().lower() for name in row]
                    if why := _of_header(header):
                        yield rows.line_num, why
                        return
                elif len(row) != len(header):
                    told = f"has {len(row)} columns, the first line {len(header)}"
                    yield rows.line_num, f"{told}; quote values that hold a comma"
                else:
                    yield rows.line_num, dict(zip(header, row, strict=True))
        except csv.Error as error:
            yield rows.line_num, f"is no CSV: {error}"

    def _json(self, texts: Iterator[str]) -> Iterator[tuple[int, dict[str, str] | str]]:
        for number, text in enumerate(texts, 1):
            if text.strip():
                yield number, _of_json(text)


def _with(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


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


def _of_json(text: str) -> dict[str, str] | str:
    """The object of a line, or what is wrong with it."""
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
    return read
