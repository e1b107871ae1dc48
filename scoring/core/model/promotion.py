"""Which models were promoted, the champion last: the file that names who decides."""

from __future__ import annotations

import json

from scoring.errors import BadArtifact

POINTER_FILE = "promoted.json"
_HISTORY_MAX = 100  # promotions remembered for rolling back

History = tuple[str, ...]


def history_from_json(text: str | bytes | None, *, name: str) -> History:
    """Read the file; None (there is none) means that nothing was promoted yet.

    >>> history_from_json('{"history": ["a", "b"]}', name="promoted.json")
    ('a', 'b')

    Raises `BadArtifact` where it is damaged.
    """
    if text is None:
        return ()
    try:
        return tuple(str(version) for version in json.loads(text)["history"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadArtifact(f"{name}: is damaged; promote a version again") from error


def history_to_json(history: History) -> str:
    """The file; the oldest promotions are forgotten beyond a hundred."""
    return json.dumps({"history": history[-_HISTORY_MAX:]}) + "\n"


def promoted(history: History, version: str) -> History:
    """The history once a version decides; promoting twice is promoting once.

    >>> promoted(("a",), "b"), promoted(("a",), "a")
    (('a', 'b'), ('a',))
    """
    return history if history[-1:] == (version,) else (*history, version)


def rolled_back(history: History, *, name: str) -> History:
    """The history once the champion before this one decides again.

    >>> rolled_back(("a", "b"), name="models")
    ('a',)

    Raises `BadArtifact` where there is none.
    """
    if len(history) < 2:  # noqa: PLR2004 - a champion and one before it
        raise BadArtifact(f"{name}: no earlier model was promoted")
    return history[:-1]
