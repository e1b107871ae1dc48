"""JSON lines and JSON arrays: nested objects become columns such as amount.value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from scoring.errors import BadArtifact
from scoring.tables.source import SourceRow, text_of

_SAMPLED_ROWS = 10_000  # whose keys are the columns
_DOCUMENT_CHARACTERS_MAX = 2**28  # one document is read into memory whole


class JsonFile:
    """One file of JSON objects, a line each, or all in one array.

    The array may be alone, or under `data` as lists of an API do.
    """

    floats: frozenset[str] = frozenset()

    def __init__(self, path: Path, name: str, encoding: str) -> None:
        self._path = path
        self._name = name
        self._encoding = encoding

    @cached_property
    def columns(self) -> Sequence[str]:
        """The keys of the first rows."""
        first = islice(self.records(), _SAMPLED_ROWS)
        return tuple(dict.fromkeys(key for record in first for key in record.cells))

    def records(self, _only: frozenset[str] | None = None, /) -> Iterator[SourceRow]:
        """Its rows; raises `BadArtifact` for a document that is no list of objects."""
        name = self._name
        with text_of(self._path, self._encoding) as lines:
            for number, part in enumerate(self._parts(lines), start=1):
                try:
                    cells = _cells(_loaded(part) if isinstance(part, str) else part)
                except (ValueError, RecursionError) as error:
                    yield SourceRow(name, number, problem=_reason(error))
                else:
                    yield SourceRow(name, number, cells)

    def _parts(self, lines: Any) -> Iterator[Any]:
        """What each row is: a line, or an object of the array."""
        first = next((line for line in lines if line.strip()), "")
        if not first:
            raise BadArtifact(f"{self._name}: is empty")
        if _is_line(first):
            yield first
            yield from (line for line in lines if line.strip())
            return
        rest = lines.read(_DOCUMENT_CHARACTERS_MAX)
        if len(rest) == _DOCUMENT_CHARACTERS_MAX:
            raise BadArtifact(
                f"{self._name}: is too large to be one JSON array; write one "
                "object a line (jq -c '.[]')"
            )
        try:
            document = _loaded(first + rest)
        except (ValueError, RecursionError) as error:
            raise BadArtifact(
                f"{self._name}: is neither JSON lines nor a JSON array of objects"
            ) from error
        listed = document.get("data") if isinstance(document, dict) else document
        if not isinstance(listed, list):
            raise BadArtifact(
                f"{self._name}: is one JSON document; rows must be one a line, in "
                "an array, or in an array under data"
            )
        yield from listed


def _is_line(text: str) -> bool:
    """Whether a file that begins so has an object a line."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        found = _loaded(text)
    except (ValueError, RecursionError):
        return text.rstrip() != "{" and text.rstrip().endswith("}")
    data = found.get("data")
    return not (isinstance(data, list) and data and isinstance(data[0], dict))


def _loaded(text: str) -> Any:
    """A value whose numbers are the text that they were written as."""
    return json.loads(
        text,
        parse_float=str,
        parse_int=str,
        parse_constant=_constant,
        object_pairs_hook=_once,
    )


def _constant(text: str) -> str | None:
    return None if text == "NaN" else text


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("says a key twice")
    return found


def _cells(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 one kind for a bad row
    cells: dict[str, str] = {}
    _flatten(value, "", cells)
    return cells


def _flatten(value: dict[str, Any], prefix: str, cells: dict[str, str]) -> None:
    for key, inner in value.items():
        name = prefix + key
        if isinstance(inner, dict):
            _flatten(inner, name + ".", cells)
        elif inner is not None:
            if name in cells:
                raise ValueError("says a key twice")
            cells[name] = text = _text(inner)
            text.encode()  # half a surrogate pair is no text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | RecursionError):
        return "is no JSON object"
    return "holds no proper Unicode" if isinstance(error, UnicodeError) else str(error)
