"""Finds one archived payment and others of its tokens, for people who look at it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Timer
from typing import Any

import duckdb

from scoring import wire
from scoring.control.desks.payment_desk import (
    LINKED_MAX,
    FoundPayment,
    LinkedPayment,
    PaymentLink,
    PaymentWish,
)
from scoring.core.transaction.label import Label, LabelSource, Verdict
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.core.transaction.payment_terms import ThreeDsStatus
from scoring.core.transaction.transaction import LINKED_BY, Transaction
from scoring.errors import Unavailable
from scoring.history.archive import FIRST, Archive
from scoring.history.rows import selected
from scoring.training.sql import connect

_DAY_MS = 86_400_000
_MS_PER_S = 1_000
# A payment lies within so much of when it is said to be: events come late.
_NEAR_DAYS = 2
# Of an archive that is larger than this reads in time, fewer days are asked for.
SEARCH_S_MAX = 4.0
_FIELDS = selected()
_FOR_EVER = "9999"
_Days = tuple[str, str]  # the first and the last, as folders are named
_SHOWN = (
    "id AS transaction_id, occurred_at_ms, amount_minor, currency, merchant, "
    "outcome, score"
)


@dataclass(frozen=True, slots=True)
class ArchiveLookUp:
    """Looks through an archive, one request at a time, each for some seconds at most.

    Reads only the files of the days that are asked for, and the columns it needs.
    """

    archive: Archive
    within_s: float = SEARCH_S_MAX
    _lock: Lock = field(default_factory=Lock)

    def found(self, wish: PaymentWish) -> FoundPayment:
        """See `ArchivedPayments`."""
        if not self._lock.acquire(timeout=self.within_s):
            raise Unavailable("others look through the archive; try again in a moment")
        try:
            return self._found(wish)
        except duckdb.InterruptException as error:
            raise Unavailable(
                f"the archive could not be looked through in {self.within_s:g} s; ask "
                "for fewer days"
            ) from error
        except (OSError, duckdb.Error) as error:  # a file may go while it is read
            raise Unavailable(f"the archive cannot be read: {error}") from error
        finally:
            self._lock.release()

    def _found(self, wish: PaymentWish) -> FoundPayment:
        with connect() as con:
            search = _Search(self.archive, con, time.monotonic() + self.within_s)
            timer = Timer(self.within_s, con.interrupt)
            timer.start()
            try:
                return search.found(wish)
            finally:
                timer.cancel()


@dataclass(frozen=True, slots=True)
class _Search:
    """One look through the archive, until an instant of the monotonic clock."""

    archive: Archive
    con: Any
    ends_s: float

    def found(self, wish: PaymentWish) -> FoundPayment:
        self.con.execute("SET threads = 1")  # the API needs the others
        payment, decision = self._payment(wish)
        near_ms = payment.occurred_at_ms if payment else wish.near_ms
        tokens = dict(wish.tokens)
        if not tokens and payment is not None:
            tokens = {name: getattr(payment, name) for name in LINKED_BY}
        named = {name: tokens[name] for name in LINKED_BY if tokens.get(name)}
        days = _span(near_ms, wish.days, wish.days)
        links = self._links(wish, named, days) if named else ()
        life = None
        if payment is not None:
            told = self._follow_ups(wish, _span(near_ms, _NEAR_DAYS, None))
            life = wire.life_to_bytes(_logged(decision, payment), *told)
        return FoundPayment(life=life, links=links)

    def _payment(self, wish: PaymentWish) -> tuple[Transaction | None, bytes]:
        days = _span(wish.near_ms, _NEAR_DAYS, _NEAR_DAYS)
        found = self.con.execute(
            f"""SELECT {_FIELDS}, decision FROM ({self._records("decisions", days)})
            WHERE tenant = $tenant AND id = $id QUALIFY {FIRST["decisions"]}""",  # noqa: S608
            {"tenant": wish.tenant, "id": wish.transaction_id},
        ).fetchall()
        return (Transaction(*found[0][:-1]), found[0][-1]) if found else (None, b"")

    def _links(
        self, wish: PaymentWish, tokens: Mapping[str, str], days: _Days
    ) -> list[PaymentLink]:
        """What others there are, by one pass over the columns of tokens."""
        same = " OR ".join(f"{name} = ${name}" for name in tokens)
        self.con.execute(
            f"""CREATE TEMP TABLE others AS SELECT {_SHOWN}, {", ".join(tokens)}
            FROM ({self._records("decisions", days)})
            WHERE tenant = $tenant AND ({same}) AND id <> $id
            QUALIFY {FIRST["decisions"]}""",  # noqa: S608 - names of ours
            {"tenant": wish.tenant, "id": wish.transaction_id, **tokens},
        )
        return [_link(self.con, name, token) for name, token in tokens.items()]

    def _follow_ups(
        self, wish: PaymentWish, days: _Days
    ) -> tuple[list[bytes], list[bytes]]:
        """Labels and events, as the service keeps them."""
        key = {"tenant": wish.tenant, "id": wish.transaction_id}
        found = []
        for kind in ("labels", "events"):
            cursor = self.con.execute(
                f"""SELECT * FROM ({self._records(kind, days)})
                WHERE tenant = $tenant AND transaction_id = $id
                QUALIFY {FIRST[kind]}""",  # noqa: S608
                key,
            )
            names = [column[0] for column in cursor.description]
            found.append([dict(zip(names, r, strict=True)) for r in cursor.fetchall()])
        labels, events = found
        return [_label(row) for row in labels], [_event(row) for row in events]

    def _records(self, kind: str, days: _Days) -> str:
        """The query of a kind's records of some days."""
        if time.monotonic() >= self.ends_s:  # a timer stops what runs, and no more
            raise duckdb.InterruptException("its time is over")
        first, last = days
        files = [f for f in self.archive.files(kind) if first <= _day_of(f) <= last]
        return self.archive.records(self.con, kind, files)


def _link(con: Any, shared: str, token: str) -> PaymentLink:
    where = f"FROM others WHERE {shared} = $token"
    ((count,),) = con.execute(f"SELECT count(*) {where}", {"token": token}).fetchall()
    names = LinkedPayment.__slots__
    rows = con.execute(
        f"""SELECT {", ".join(names)} {where}
        ORDER BY occurred_at_ms DESC, transaction_id LIMIT {LINKED_MAX}""",
        {"token": token},
    ).fetchall()
    newest = [LinkedPayment(**dict(zip(names, row, strict=True))) for row in rows]
    return PaymentLink(shared=shared, token=token, count=count, newest=newest)


def _logged(decision: bytes, payment: Transaction) -> bytes:
    """The decision with its payment, as the topic had it."""
    transaction = wire.transaction_to_proto(payment).SerializeToString()
    return decision + wire.field_to_bytes(3, transaction)


def _label(row: Mapping[str, Any]) -> bytes:
    label = Label(
        tenant=row["tenant"],
        transaction_id=row["transaction_id"],
        version=row["version"],
        verdict=Verdict[row["verdict"].upper()],
        known_at_ms=row["known_at_ms"],
        source=LabelSource[row["source"].upper()],
    )
    return wire.follow_up_to_bytes(label)


def _event(row: Mapping[str, Any]) -> bytes:
    result = row["three_ds_result"]
    event = LifecycleEvent(
        tenant=row["tenant"],
        transaction_id=row["transaction_id"],
        event_id=row["event_id"],
        kind=LifecycleKind[row["kind"].upper()],
        occurred_at_ms=row["occurred_at_ms"],
        amount_minor=row["amount_minor"],
        issuer_code=row["issuer_code"] or "",
        three_ds_result=ThreeDsStatus[result.upper()] if result else 0,
        known_at_ms=row["known_at_ms"],
    )
    return wire.follow_up_to_bytes(event)


def _span(near_ms: int | None, before: int, after: int | None) -> _Days:
    """The first day and the last of so many before an instant and after.

    >>> _span(1_767_225_600_000, 1, None), _span(None, 1, 1)
    (('2025-12-31', '9999'), ('', '9999'))
    """
    if near_ms is None:
        return "", _FOR_EVER
    last = _FOR_EVER if after is None else _day(near_ms + after * _DAY_MS)
    return _day(near_ms - before * _DAY_MS), last


def _day(ms: int) -> str:
    at = min(max(ms, 0), 253_402_300_799_000)  # until the year 9999
    return datetime.fromtimestamp(at / _MS_PER_S, UTC).strftime("%Y-%m-%d")


def _day_of(file: Path) -> str:
    return file.parent.name.partition("=")[2]
