"""What is wrong with a rule, where in its text, and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RuleProblem(ValueError):
    """A text refused at `offset` (characters); the message carries the remedy."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


def position(text: str, offset: int) -> tuple[int, int]:
    """1-based line and column of an offset.

    >>> position("a &&\\n  b", 7)
    (2, 3)
    """
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def caret(text: str, offset: int) -> str:
    """The line of the text that holds the offset, and a caret below it.

    >>> print(caret("score > 1", 6))
        score > 1
              ^
    """
    line, column = position(text, offset)
    shown = text.split("\n")[line - 1]
    return f"    {shown}\n    {' ' * (column - 1)}^"


def suggestion(word: str, known: Iterable[str]) -> str:
    """The rest of a sentence about a word that is not known.

    >>> suggestion("amont", ["amount_minor", "amount"])
    "; did you mean 'amount'?"
    """
    close = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
