"""Decisions as JSON, for people and for readers without protobuf."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from math import isfinite
from struct import Struct
from typing import Protocol

from google.protobuf import json_format

from scoring.errors import CorruptState
from scoring.wire.decisions import decision_from_bytes

_FLOAT32 = Struct("<f")
# Of a float32: so many digits any has, and so many tell all apart.
_DIGITS_LEAST, _DIGITS_MOST = 6, 9
_NUMBERS_MAX = 16_384  # counts and amounts come again
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


class FeatureNames(Protocol):
    """The names of a vector, in its order, and the version of its definitions.

    A catalogue is one.
    """

    @property
    def version(self) -> str:
        """What a decision names as its `versions.features`."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """One a number of the vector."""
        ...


def decision_to_json(raw: bytes, catalogue: FeatureNames | None = None) -> bytes:
    """Canonical JSON of an encoded Decision, one line.

    `features` says the vector by name: the shortest number that is the same float32,
    and null for what is not known. It is there where `catalogue` is the one that made
    the vector; names are never guessed.

    Raises `CorruptState` for one with a value that JSON cannot say.
    """
    try:
        message = decision_from_bytes(raw)
        core = message.core
        # Most of a decision, and most of what the general way would take.
        vector = list(map(_number, core.features))
        core.ClearField("features")
        said = json_format.MessageToDict(message)
        if vector:
            said["core"]["features"] = vector
            if catalogue and core.versions.features == catalogue.version:
                said["features"] = named(catalogue.names, vector)
        return json.dumps(said, ensure_ascii=False).encode()
    except (json_format.Error, ValueError) as error:
        raise CorruptState("JSON cannot say it") from error


def _number(value: float) -> float | str:
    """A float32 as canonical JSON says it.

    >>> _number(0.10000000149011612), _number(float("nan")), _number(float("inf"))
    (0.1, 'NaN', 'Infinity')
    """
    if not isfinite(value):
        return _NOT_FINITE[str(value)]
    return _shortest(value) if value else value  # a zero keeps its sign


@lru_cache(maxsize=_NUMBERS_MAX)
def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32."""
    for digits in range(_DIGITS_LEAST, _DIGITS_MOST):
        shorter = float(f"{value:.{digits}g}")
        with suppress(OverflowError):  # rounded up beyond the largest of all
            if _FLOAT32.pack(shorter) == _FLOAT32.pack(value):
                return shorter
    return float(f"{value:.{_DIGITS_MOST}g}")


def named(
    names: Sequence[str], vector: Sequence[float | str]
) -> dict[str, float | str | None]:
    """The numbers of a vector, as canonical JSON has them, by name.

    Raises `ValueError` where they are not as many as the names.

    >>> named(["count", "mean", "age"], [3.0, 0.1, "NaN"])
    {'count': 3.0, 'mean': 0.1, 'age': None}
    """
    pairs = zip(names, vector, strict=True)
    return {name: None if value == "NaN" else value for name, value in pairs}
