"""Where decided payments come from: an archive, or the decisions file of a replay.

A source gives chunks: the view `paid` has a chunk's rows, with a transaction's fields,
what was decided, and what became known. Nothing is read of a store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from scoring.backtest.predicates import text_sql
from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import Catalogue
from scoring.errors import BadArtifact
from scoring.history.archive import FIRST, Archive, is_archive, readable
from scoring.training.sql import columns_of

DAY_MS = 86_400_000
DAYS = 90  # what a backtest spans, where nobody says
_CHUNK_ROWS = 1_000_000
# Of the delays of the labels that say fraud: the rest comes later than is usual.
_USUAL = 0.95
# What no archive of an earlier release has, or what another kind of source lacks.
_LACKING = {"let_through": "NULL::DOUBLE"}
RECORDED = (
    "CASE lower(outcome) "
    + " ".join(f"WHEN '{o.name.lower()}' THEN {int(o)}" for o in Outcome if o)
    + " ELSE 0 END"
)


@dataclass(frozen=True, slots=True)
class JudgedSpan:
    """Which payments are judged: [from, until) by event time, and what was known.

    Labels are usually known `delay_ms` after their payment; None: no label says fraud.
    A payment younger than that, at `now_ms`, is not yet labelled. Where a `tenant` is
    named, it is of that one alone. `newest_label_ms` is when the newest label became
    known, None where there is none.
    """

    from_ms: int
    until_ms: int
    now_ms: int
    delay_ms: int | None
    tenant: str = ""
    newest_label_ms: int | None = None

    @property
    def newest_label_days(self) -> float | None:
        """How old the newest label is beside the newest of everything, days."""
        if self.newest_label_ms is None:
            return None
        return round((self.now_ms - self.newest_label_ms) / DAY_MS, 1)

    @property
    def where(self) -> str:
        """The condition that a payment lies in it."""
        of_it = f" AND tenant = {text_sql(self.tenant)}" if self.tenant else ""
        times = f"occurred_at_ms >= {self.from_ms} AND occurred_at_ms < {self.until_ms}"
        return times + of_it

    @property
    def judged_until_ms(self) -> int:
        """The event time from which on payments are not yet labelled."""
        return self.from_ms if self.delay_ms is None else self.now_ms - self.delay_ms


class PaidSource(Protocol):
    """Decided payments, in chunks, with vectors by the definitions of `catalogue`."""

    @property
    def catalogue(self) -> Catalogue:
        """The definitions; what other ones made is unfit."""

    def span(self, con: Any, days: int, delay_days: int | None) -> JudgedSpan:
        """The last days of what is there, and how long its labels usually take."""

    def chunks(self, con: Any, span: JudgedSpan) -> Iterator[float]:
        """Make the view `paid` of the next rows; gives the share that is done then."""


def source_of(place: Path, catalogue: Catalogue) -> PaidSource:
    """An archive's directory or a decisions file; raises `BadArtifact`."""
    from scoring.backtest.replayed import ReplayedSource

    if place.is_dir():
        if not is_archive(place):
            raise BadArtifact(f"{place}: is no archive; `scoring archive` makes one")
        return ArchiveSource(Archive(place), catalogue)
    return ReplayedSource(place, catalogue)


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """The decisions, labels and events that `scoring archive` keeps."""

    archive: Archive
    catalogue: Catalogue

    def span(self, con: Any, days: int, delay_days: int | None) -> JudgedSpan:
        """As `PaidSource`: until the newest payment; now is the newest of anything."""
        files = self.archive.files("decisions")
        if not files:
            raise BadArtifact(f"{self.archive.directory}: no decisions are archived")
        with readable(self.archive.directory):
            self._follow_ups(con)
            last_day = [path for path in files if path.parent == files[-1].parent]
            of_that_day = self.archive.records(con, "decisions", last_day)
            ((newest,),) = con.execute(
                f"SELECT max(occurred_at_ms) FROM ({of_that_day})"  # noqa: S608
            ).fetchall()
            ((known,),) = con.execute(
                "SELECT max(known_at_ms) FROM labels_known"
            ).fetchall()
            delay_ms = self._delay_ms(con, delay_days, files)
        until = int(newest) + 1
        now = max(int(newest), int(known or 0))
        newest_ms = None if known is None else int(known)
        return JudgedSpan(
            until - days * DAY_MS, until, now, delay_ms, newest_label_ms=newest_ms
        )

    def chunks(self, con: Any, span: JudgedSpan) -> Iterator[float]:
        """As `PaidSource`: whole days together, so that repeats meet."""
        files = [
            path
            for path in self.archive.files("decisions")
            if _last_ms(path) >= span.from_ms
        ]
        done = 0
        with readable(self.archive.directory):
            for chunk in _chunks(files):
                done += len(chunk)
                self._make(con, chunk, span)
                yield done / len(files)

    def _make(self, con: Any, files: list[Path], span: JudgedSpan) -> None:
        con.execute(
            f"""CREATE OR REPLACE TEMP VIEW recorded AS
            SELECT * EXCLUDE (day)
            FROM ({self.archive.records(con, "decisions", files)})
            WHERE {span.where}"""  # noqa: S608
        )
        _mark_repeats(con)
        _tell(con)
        present = columns_of(con, "recorded")
        lacking = "".join(
            f", {sql} AS {name}"
            for name, sql in _LACKING.items()
            if name not in present
        )
        # A forgotten payer's payments keep no hash; they are there only after a wish.
        forgotten = "r.payload_hash IS NULL" if self.archive.masks() else "false"
        n = len(self.catalogue.names)
        con.execute(
            f"""CREATE OR REPLACE TEMP VIEW paid AS
            SELECT r.* {lacking}, {RECORDED} AS recorded,
                t.fraud AS told_fraud, t.source AS told_source,
                coalesce(e.refunded, false) AS refunded,
                coalesce(e.accepted, false) AS accepted,
                coalesce(e.declined AND NOT e.accepted, false) AS never_paid,
                CASE WHEN again.log_offset IS NOT NULL
                    THEN 'recorded more than once'
                WHEN {forgotten} THEN 'forgotten'
                WHEN r.features_version IS DISTINCT FROM '{self.catalogue.version}'
                    OR len(r.features) NOT IN (0, {n}) THEN 'other definitions'
                END AS unfit
            FROM recorded r
            LEFT JOIN told t ON t.tenant = r.tenant AND t.id = r.id
            LEFT JOIN events_known e ON e.tenant = r.tenant AND e.id = r.id
            LEFT JOIN again USING (log_partition, log_offset)"""  # noqa: S608
        )

    def _follow_ups(self, con: Any) -> None:
        """What became known: labels by version, and what happened to a payment."""
        labels = self.archive.records(con, "labels", self.archive.files("labels"))
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE labels_known AS
            SELECT tenant, transaction_id AS id, version, verdict, fraud, source,
                known_at_ms
            FROM ({labels}) QUALIFY {FIRST["labels"]}"""  # noqa: S608
        )
        events = self.archive.records(con, "events", self.archive.files("events"))
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE events_known AS
            SELECT tenant, transaction_id AS id, bool_or(kind = 'refunded') AS refunded,
                bool_or(kind IN ('authorised', 'captured', 'refunded')) AS accepted,
                bool_or(kind = 'issuer_declined') AS declined
            FROM ({events}) GROUP BY ALL"""  # noqa: S608
        )

    def _delay_ms(
        self, con: Any, given_days: int | None, files: list[Path]
    ) -> int | None:
        if given_days is not None:
            return given_days * DAY_MS
        ((usual,),) = con.execute(
            f"""SELECT quantile_disc(l.known_at_ms - d.occurred_at_ms, {_USUAL})
            FROM labels_known l JOIN ({self.archive.records(con, "decisions", files)}) d
            ON d.tenant = l.tenant AND d.id = l.id
            WHERE l.fraud AND l.known_at_ms >= d.occurred_at_ms"""  # noqa: S608
        ).fetchall()
        return None if usual is None else ceil(usual / DAY_MS) * DAY_MS


def _chunks(files: list[Path]) -> Iterator[list[Path]]:
    """Files of whole days, some million rows at once."""
    chunk: list[Path] = []
    rows = 0
    for _, day in groupby(files, lambda path: path.parent):
        own = list(day)
        count = sum(pq.read_metadata(path).num_rows for path in own)
        if chunk and rows + count > _CHUNK_ROWS:
            yield chunk
            chunk, rows = [], 0
        chunk += own
        rows += count
    if chunk:
        yield chunk


def _last_ms(path: Path) -> int:
    """The end of the day that a file is of."""
    day = date.fromisoformat(path.parent.name.partition("=")[2])
    begins = datetime.combine(day, datetime.min.time(), UTC)
    return int(begins.timestamp() * 1_000) + DAY_MS


def _mark_repeats(con: Any) -> None:
    """Make the table `again`: the records of a payment that another stands for.

    A repeat has its payment's time, and so lies in the same day's files. Only what may
    be one, by a hash of its name, is put in order.
    """
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE again AS
        SELECT log_partition, log_offset FROM (
            SELECT tenant, id, provisional, log_partition, log_offset FROM recorded
            WHERE hash(tenant, id) IN (SELECT hash(tenant, id) FROM recorded
                GROUP BY ALL HAVING count(*) > 1))
        QUALIFY NOT ({FIRST["decisions"]})"""  # noqa: S608
    )


def _tell(con: Any) -> None:
    """Make the table `told`: the last version of each label of the recorded payments.

    A label that was known before its payment is none.
    """
    con.execute(
        """CREATE OR REPLACE TEMP TABLE told AS
        SELECT tenant, id, last.fraud AS fraud, last.source AS source FROM (
            SELECT l.tenant, l.id,
                arg_max({'fraud': l.fraud, 'source': l.source}, l.version) AS last
            FROM labels_known l JOIN recorded r ON r.tenant = l.tenant AND r.id = l.id
            WHERE l.known_at_ms >= r.occurred_at_ms GROUP BY ALL)"""
    )
