"""Our own decisions with what turned out to be true of them: rows to train on."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from scoring.core.features.catalogue import Catalogue
from scoring.core.features.readable import column_of
from scoring.core.transaction.transaction import MAP_FIELDS
from scoring.errors import BadArtifact
from scoring.history.archive import Archive, readable
from scoring.history.ledger import Ledger
from scoring.history.rows import TRANSACTION_FIELDS
from scoring.training.sql import connect

_DAY_MS = 86_400_000
# Without these a column that is empty everywhere means "not known", as a missing one.
_MAY_LACK = ("customer", "card")
_TOO_LATE = "came too late for the store to count it"
_AGAIN = "repeats the record of a decision"

_EVENTS = "SELECT * EXCLUDE (transaction, day) FROM events"


@dataclass(frozen=True, slots=True)
class Examples:
    """A pyarrow table for training, and what became of every archived decision.

    `table` has our fields, `let_through`, `outcome`, `processed_seq`, `too_late`,
    `fraud` (null: nothing is known; such a row is history of the others) and
    `known_at_ms`.
    `label_delay_ms` is how long after its payment every label used was known.
    `assumed` rows have no label and are taken as legitimate, `unlabelled` are not;
    `too_late` decisions, which the store never counted, and labels that came after the
    delay are left out, and so are the `repeated` records of a decision. `left_out` has
    the partition, the offset and the reason of each record of which nothing is learned
    or counted. Where statistics count lifecycle events, those of a payment that came
    too late count: its row is in `table` for them alone, marked `too_late`.
    """

    table: Any
    label_delay_ms: int
    rows: int
    labelled: int
    assumed: int
    unlabelled: int
    labelled_late: int
    too_late: int
    repeated: int
    left_out: tuple[tuple[int, int, str], ...] = ()
    events: Any = None  # lifecycle events, as the offline engine takes them

    def lines(self) -> list[str]:
        """What became of the decisions, for a person."""
        days = self.label_delay_ms / _DAY_MS
        counted = (
            f"{self.rows:,} archived decisions: {self.labelled:,} with a label, "
            f"{self.assumed:,} without one taken as legitimate, {self.unlabelled:,} "
            "without one only counted in the history of others, "
            f"{self.labelled_late:,} with a label that came after the delay, "
            f"{self.too_late:,} too late to be counted, "
            f"{self.repeated:,} recorded more than once"
        )
        known = f"a label counts as known at the latest {days:g} days after its payment"
        return [counted, known]


def examples(
    archive: Archive,
    catalogue: Catalogue,
    *,
    lateness_ms: int,
    label_delay_ms: int | None,
    legitimate_after_ms: int | None,
) -> Examples:
    """Join an archive's decisions with the last version of each one's label.

    Without `label_delay_ms` it is the longest that a label took, in whole days. A
    payment without a label is taken as legitimate only with `legitimate_after_ms`,
    where the archive continues so long after it; that then is when it is known, and
    the delay is at least that. Raises `BadArtifact` where nothing is labelled.
    """
    if not archive.files("decisions"):
        raise BadArtifact(f"{archive.directory}: no decisions are archived there")
    with readable(archive.directory):
        ledger = Ledger(archive, catalogue, lateness_ms=lateness_ms)
        with closing(ledger):
            _join(ledger.con)
            delay_ms = _delay(ledger.con, label_delay_ms, legitimate_after_ms)
            _judge(ledger.con, delay_ms, legitimate_after_ms)
            _take(ledger.con, catalogue, delay_ms, legitimate_after_ms or 0)
            found = _taken(ledger.con, catalogue, delay_ms)
            return replace(found, events=ledger.con.sql(_EVENTS).to_arrow_table())


def archived_events(archive: Archive) -> Any:
    """The lifecycle events of an archive, each once, as a pyarrow table."""
    with connect() as con, readable(archive.directory):
        archive.views(con)
        return con.sql(_EVENTS).to_arrow_table()


def _join(con: Any) -> None:
    con.execute(
        """CREATE TEMP TABLE joined AS
        SELECT h.* EXCLUDE (processed_seq), h.n + 1 AS processed_seq,
            l.fraud AS told, l.known_at_ms AS told_at_ms
        FROM history h LEFT JOIN (
            SELECT * FROM labels QUALIFY row_number() OVER (
                PARTITION BY tenant, transaction_id ORDER BY version DESC) = 1
        ) l ON l.tenant = h.tenant AND l.transaction_id = h.id"""
    )


def _delay(con: Any, given_ms: int | None, legitimate_after_ms: int | None) -> int:
    if given_ms is None:
        ((took_ms,),) = con.execute(
            "SELECT max(told_at_ms - occurred_at_ms) FROM joined WHERE told IS NOT NULL"
        ).fetchall()
        given_ms = ceil((took_ms or 0) / _DAY_MS) * _DAY_MS
    return max(given_ms, legitimate_after_ms or 0)


def _judge(con: Any, delay_ms: int, legitimate_after_ms: int | None) -> None:
    """Say of each decision what is known, from when, and what it counts as."""
    assumed = "false"
    if legitimate_after_ms is not None:
        newest = "(SELECT max(occurred_at_ms) FROM joined)"
        assumed = (
            f"told_at_ms IS NULL AND occurred_at_ms + {legitimate_after_ms:d} <= "
            + newest
            # What was declined is unknown; a sample of it that was let through tells.
            + " AND (outcome <> 'decline' OR NOT EXISTS (FROM joined WHERE"
            " let_through IS NOT NULL))"
        )
    con.execute(
        f"""CREATE TEMP TABLE judged AS SELECT *, CASE
            WHEN too_late THEN 'too_late'
            WHEN {assumed} THEN 'assumed'
            WHEN told IS NULL THEN 'unlabelled'
            WHEN told_at_ms - occurred_at_ms > {delay_ms:d} THEN 'labelled_late'
            ELSE 'labelled' END AS what
        FROM joined"""  # noqa: S608 numbers
    )


def _take(con: Any, catalogue: Catalogue, delay_ms: int, assumed_ms: int) -> None:
    """Make the view of the rows to give, with what is known of each, and when."""
    told_of = "false"
    if any(plan.of_events for plan in catalogue.plans):
        told_of = "(tenant, id) IN (SELECT (tenant, transaction_id) FROM events)"
    con.execute(
        f"""CREATE TEMP VIEW taken AS SELECT *, CASE what
                WHEN 'assumed' THEN false WHEN 'labelled' THEN told END AS fraud,
            CASE what WHEN 'assumed' THEN occurred_at_ms + {assumed_ms:d}
                WHEN 'labelled' THEN told_at_ms
                ELSE occurred_at_ms + {delay_ms:d} END AS known_at_ms
        FROM judged WHERE what <> 'too_late' OR {told_of}"""  # noqa: S608 ours
    )


def _taken(con: Any, catalogue: Catalogue, delay_ms: int) -> Examples:
    counts = dict(
        con.execute("SELECT what, count(*) FROM judged GROUP BY 1").fetchall()
    )
    ((frauds, legitimate),) = con.execute(
        "SELECT count(*) FILTER (fraud), count(*) FILTER (NOT fraud) FROM taken"
    ).fetchall()
    if not frauds:
        raise BadArtifact(
            "archive: no decision has a label that says fraud; report labels "
            "(ReportLabels, or the labels topic), and run `scoring archive` again"
        )
    if not legitimate:
        raise BadArtifact(
            "archive: every label says fraud; say after how many days a payment "
            "without a label counts as legitimate: --legitimate-after-days 60"
        )
    fields = [name for name in TRANSACTION_FIELDS if name not in MAP_FIELDS]
    empty = ", ".join(f"count(*) FILTER ({name} <> '')" for name in _MAY_LACK)
    (found,) = con.execute(f"SELECT {empty} FROM taken").fetchall()  # noqa: S608
    lacking = {name for name, n in zip(_MAY_LACK, found, strict=True) if not n}
    known = [name for name in fields if name not in lacking]
    columns = ", ".join([*known, "let_through", *map(column_of, catalogue.keyed)])
    table = con.sql(
        f"""SELECT {columns}, outcome, processed_seq, too_late, fraud, known_at_ms
        FROM taken ORDER BY processed_seq"""  # noqa: S608 our own names
    ).to_arrow_table()
    left_out = _left_out(con)
    repeated = len(left_out) - counts.get("too_late", 0)
    return Examples(
        table,
        label_delay_ms=delay_ms,
        rows=sum(counts.values()) + repeated,
        repeated=repeated,
        left_out=left_out,
        **{
            what: counts.get(what, 0)
            for what in ("labelled", "assumed", "unlabelled", "labelled_late",
                         "too_late")
        },
    )  # fmt: skip


def _left_out(con: Any) -> tuple[tuple[int, int, str], ...]:
    """Where each record is of which nothing is learned or counted, and why."""
    found = con.execute(
        f"""SELECT log_partition, log_offset, '{_TOO_LATE}' FROM judged
        WHERE what = 'too_late'
        UNION ALL SELECT r.log_partition, r.log_offset, '{_AGAIN}' FROM recorded r
        WHERE rowid NOT IN (SELECT own FROM places) ORDER BY ALL"""  # noqa: S608 ours
    ).fetchall()
    return tuple(found)
