"""Texts that people write beside what they do."""

from __future__ import annotations

from scoring.errors import InvalidTransaction, ReasonRequired

WHY_CHARACTERS_MAX = 2_000


def checked_why(why: str, *, because: tuple[str, ...] = ()) -> str:
    """A reason without blanks around it; required where there is a `because`.

    Raises `ReasonRequired` and `InvalidTransaction`.

    >>> checked_why(" too many refusals ")
    'too many refusals'
    """
    written = why.strip()
    if because and not written:
        raise ReasonRequired(because)
    if len(written) > WHY_CHARACTERS_MAX:
        raise InvalidTransaction("why", f"at most {WHY_CHARACTERS_MAX} characters")
    if not all(line.isprintable() for line in written.splitlines()):
        raise InvalidTransaction("why", "holds characters that cannot be printed")
    return written
