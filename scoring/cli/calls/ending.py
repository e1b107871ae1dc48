"""How a command ends: what it says of an error, and the exit status of each."""

from __future__ import annotations

from scoring.errors import (
    DeadlineExceeded,
    Denied,
    NotFound,
    Overloaded,
    RateLimited,
    ScoringError,
    Unauthenticated,
    Unavailable,
)

ANSWERED, REFUSED, MISUSED, UNAVAILABLE = range(4)
EXITS = """exit status:
  0  the service answered
  1  the service refused: the line says why, and which field
  2  the command is wrong: an option, a file, a field
  3  no answer: the service is not there, is overloaded, or was too late"""


class Misuse(ScoringError):
    """A command that cannot be carried out as it was written."""

    code = "misuse"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


def exit_status(error: ScoringError) -> int:
    """The status by which a script tells what to do.

    >>> exit_status(Misuse("--timeout", "must be seconds")), exit_status(NotFound("no"))
    (2, 1)
    """
    if isinstance(error, Misuse):
        return MISUSED
    return UNAVAILABLE if isinstance(error, Unavailable) else REFUSED


def said(error: ScoringError, target: str) -> str:
    """One line: what is wrong, with its code, and what to do.

    >>> said(NotFound("no decision is recorded under this id"), "h:1")
    'no decision is recorded under this id (not-found); is it another --tenant?'
    """
    advice = _advice(error, target)
    return f"{error} ({error.code}){'; ' if advice else ''}{advice}"


def _advice(error: ScoringError, target: str) -> str:
    if isinstance(error, NotFound):
        return "is it another --tenant?"
    if isinstance(error, Unauthenticated):
        return "--token-file or --cert-file says who you are"
    if isinstance(error, Denied):
        return "ask the operator of the service"
    if isinstance(error, Overloaded | RateLimited):
        return f"come again in {error.retry_after_ms} ms"
    if isinstance(error, DeadlineExceeded):
        return "--timeout allows more"
    if isinstance(error, Unavailable):
        return f"is a service at {target}? --target or SCORING_TARGET names another"
    return ""
