"""Decisions as JSON, for people and for readers without protobuf."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from google.protobuf import json_format

from scoring.errors import CorruptState
from scoring.wire.decisions import decision_from_bytes


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
        said = json_format.MessageToDict(message)
        core = message.core
        if catalogue and core.features and core.versions.features == catalogue.version:
            said["features"] = named(catalogue.names, said["core"]["features"])
        return json.dumps(said, ensure_ascii=False).encode()
    except (json_format.Error, ValueError) as error:
        raise CorruptState("JSON cannot say it") from error


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
