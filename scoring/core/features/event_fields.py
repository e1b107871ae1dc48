"""What filters and measures may read of a lifecycle event, by name: as Python and SQL.

A statistic whose filter names one of these is a statistic over events: it has a history
of its own beside the payments' of its entity.
"""

from __future__ import annotations

from collections.abc import Mapping

from scoring.core.features.bounds import POSITIVE
from scoring.core.features.readable import Readable
from scoring.core.transaction.codes import CodeSet, named
from scoring.core.transaction.lifecycle import LifecycleKind
from scoring.core.transaction.payment_terms import ThreeDsStatus

EVENT_AMOUNT = "event_amount"  # in the reference currency, by the rate of its day
KNOWN_AT = "event_known_at_ms"  # kept with each event: no payment sees it before
ISSUER_OUTCOMES: Mapping[int, str] = {
    LifecycleKind.AUTHORISED: "AUTHORISED",
    LifecycleKind.ISSUER_DECLINED: "DECLINED",
}


def _text(name: str) -> Readable:
    python = f"(getattr(t, {name!r}, '') or None)"
    return Readable(name, "text", python, f"nullif({name}, '')")


EVENT_FIELDS: Mapping[str, Readable] = {
    **{
        name: _text(name)
        for name in ("event", "issuer_outcome", "issuer_code", "three_ds_result")
    },
    EVENT_AMOUNT: Readable(
        EVENT_AMOUNT,
        "number",
        f"getattr(t, {EVENT_AMOUNT!r}, None)",
        EVENT_AMOUNT,
        POSITIVE,
    ),
}
_CLOSED: Mapping[str, CodeSet] = {
    "event": named(kind.name for kind in LifecycleKind if kind),
    "issuer_outcome": named(ISSUER_OUTCOMES.values()),
    "three_ds_result": named(status.name for status in ThreeDsStatus if status),
}


def event_names() -> tuple[str, ...]:
    """What `event` may be."""
    return _CLOSED["event"].members


def three_ds_names() -> tuple[str, ...]:
    """What `three_ds_result` may be."""
    return _CLOSED["three_ds_result"].members


def never_of_event(field: str, text: str) -> str:
    """Why a text can never be an event's field, with the nearest right one; else "".

    >>> never_of_event("issuer_outcome", "DECLINE")
    "must be one of AUTHORISED, DECLINED; did you mean 'DECLINED'?"
    """
    known = _CLOSED.get(field)
    return known.refusal(text) if known else ""
