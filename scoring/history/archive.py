"""A directory of Parquet files that keeps the decisions, labels and events topics.

    DIR/offsets.json                                what has been taken, by topic
    DIR/decisions/day=2026-11-23/p0-0-20000.parquet  by the day of the payment (UTC)
    DIR/labels/day=2026-11-23/p0-0-120.parquet       by the day it became known
    DIR/events/day=2026-11-23/p0-0-500.parquet       likewise
    DIR/forgotten.json                               what must not come back

A file is named for the partition and the offsets it was made of. Offsets are noted
after their files are complete: what a crash leaves is made again under the same ones.
They count on where a topic was made again: `log_offset` is the broker's own plus what
was taken of the topics that had its name before.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.errors import BadArtifact
from scoring.history.masking import digest, masked
from scoring.history.rows import DECISIONS, EVENTS, LABELS, Row
from scoring.training.sql import connect

SCHEMAS = {"decisions": DECISIONS, "labels": LABELS, "events": EVENTS}
# What every row has, however old the release that wrote it.
_NEVER_NULL = {
    "decisions": ("tenant", "id", "occurred_at_ms", "currency", "outcome"),
    "labels": ("tenant", "transaction_id", "version", "verdict", "known_at_ms"),
    "events": ("tenant", "transaction_id", "event_id", "kind", "known_at_ms"),
}
_DAY_OF = {
    "decisions": "occurred_at_ms",
    "labels": "known_at_ms",
    "events": "known_at_ms",
}
# Which of several records of one transaction, version of a label or event counts.
FIRST = {
    "decisions": """row_number() OVER (PARTITION BY tenant, id
        ORDER BY provisional, log_partition, log_offset) = 1""",
    "labels": """row_number() OVER (PARTITION BY tenant, transaction_id, version
        ORDER BY received_at_ms NULLS FIRST, log_partition, log_offset) = 1""",
    "events": """row_number() OVER (PARTITION BY tenant, transaction_id, event_id
        ORDER BY received_at_ms, log_partition, log_offset) = 1""",
}
# A label that was known before its payment is none, whatever is in the topic.
_LABELS_IN_ORDER = """SELECT * FROM archived_labels l WHERE NOT EXISTS (
    SELECT 1 FROM archived_decisions d WHERE d.tenant = l.tenant
        AND d.id = l.transaction_id AND d.occurred_at_ms > l.known_at_ms)"""
_STANDING = {
    "decisions": "SELECT * FROM archived_decisions",
    "labels": _LABELS_IN_ORDER,
    "events": "SELECT * FROM archived_events",
}
_TOPICS = "topics"  # beside the kinds in offsets.json: which incarnations they count
NextOffsets = dict[str, dict[int, int]]  # topic, partition, next offset
_FILE = re.compile(r"p(\d+)-(\d+)-(\d+)\.parquet")
_MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One topic of a name: its id, and what the archive's offsets are ahead of its."""

    id: str = ""
    base: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive directory; nothing but one `scoring` command writes to it at once."""

    directory: Path

    def prepare(self) -> None:
        """Create it, or clear what an interrupted run left half done."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for kind in SCHEMAS:
            taken = self.offsets(kind)
            for path in self.files(kind):
                partition, first, _ = _place(path)
                if first >= taken.get(partition, 0):
                    path.unlink()
            for path in (self.directory / kind).glob("day=*/p*.part"):
                if _FILE.fullmatch(path.with_suffix(".parquet").name):
                    path.unlink()

    def files(self, kind: str) -> list[Path]:
        """The files of one kind, oldest day first."""
        return sorted((self.directory / kind).glob("day=*/p*.parquet"))

    def offsets(self, kind: str) -> dict[int, int]:
        """The next offset to take from each partition of a topic."""
        noted = self._noted("offsets.json").get(kind, {})
        return {int(partition): offset for partition, offset in noted.items()}

    def incarnation(self, kind: str) -> Incarnation:
        """Which topic the offsets count in, and from where."""
        noted = self._noted("offsets.json").get(_TOPICS, {}).get(kind, {})
        base = {int(p): offset for p, offset in noted.get("base", {}).items()}
        return Incarnation(noted.get("id", ""), base)

    def begin(self, kind: str, topic: Incarnation) -> None:
        """Note which topic the offsets count in from now on."""
        offsets = self._noted("offsets.json")
        base = {str(p): offset for p, offset in topic.base.items()}
        offsets.setdefault(_TOPICS, {})[kind] = {"id": topic.id, "base": base}
        self._note("offsets.json", offsets)

    def next_offsets(self) -> NextOffsets:
        """The next offsets of every topic: how far the archive has come."""
        return {kind: self.offsets(kind) for kind in SCHEMAS}

    def take(
        self, kind: str, partition: int, rows: Sequence[Row], span: tuple[int, int]
    ) -> None:
        """Keep what the offsets [first, end) of a partition held, and note them."""
        by_day: dict[str, list[Row]] = defaultdict(list)
        masks = self.masks()
        for row in rows:
            by_day[_day(row[_DAY_OF[kind]])].append(masked(row, masks))
        for day, own in by_day.items():
            folder = self.directory / kind / f"day={day}"
            folder.mkdir(parents=True, exist_ok=True)
            name = f"p{partition}-{span[0]}-{span[1]}.parquet"
            write(folder / name, pa.Table.from_pylist(own, schema=SCHEMAS[kind]))
        offsets = self._noted("offsets.json")
        offsets.setdefault(kind, {})[str(partition)] = span[1]
        self._note("offsets.json", offsets)

    def views(self, con: Any) -> None:
        """Make the views `decisions` (one row a transaction), `labels` and `events`,
        and `archived_decisions` and so on, which have every record.

        A transaction that was logged twice is there once: where a provisional answer
        and a final one are there, the final one is what was recorded.
        """
        for kind in SCHEMAS:
            rows = self.records(con, kind, self.files(kind))
            con.execute(f"CREATE OR REPLACE VIEW archived_{kind} AS {rows}")
        for kind, rows in _STANDING.items():
            con.execute(
                f"CREATE OR REPLACE VIEW {kind} AS {rows} QUALIFY {FIRST[kind]}"
            )

    def records(self, con: Any, kind: str, files: Sequence[Path]) -> str:
        """The query of every record of some of its files, each with its `day`."""
        empty = SCHEMAS[kind].append(pa.field("day", pa.date32())).empty_table()
        con.register("nothing_archived", empty)
        con.execute(
            f"CREATE OR REPLACE TABLE no_{kind} AS SELECT * FROM nothing_archived"  # noqa: S608
        )
        rows = f"SELECT * FROM no_{kind}"  # noqa: S608
        if not files:
            return rows
        listed = ", ".join(text_sql(str(path)) for path in files)
        # Files of an earlier release lack what is kept since.
        return f"""{rows} UNION ALL BY NAME SELECT * FROM read_parquet([{listed}],
            hive_partitioning = true, union_by_name = true)"""  # noqa: S608

    def masks(self) -> dict[tuple[str, str, str], str]:
        """What was forgotten: (tenant, field, digest of the token) to its mask."""
        noted = self._noted("forgotten.json").get("entities", [])
        return {(e["tenant"], e["field"], e["digest"]): e["mask"] for e in noted}

    def remember_to_forget(
        self, tenant: str, field: str, token: str, mask: str
    ) -> None:
        """Mask a token in whatever is taken from the topics from now on."""
        noted = self._noted("forgotten.json")
        entity = {"tenant": tenant, "field": field, "digest": digest(token)}
        noted.setdefault("entities", []).append(entity | {"mask": mask})
        self._note("forgotten.json", noted)

    def _noted(self, name: str) -> dict[str, Any]:
        path = self.directory / name
        if not path.exists():
            return {}
        try:
            noted: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise BadArtifact(
                f"{path}: is not what `scoring archive` wrote; restore it, or move the "
                "directory and archive again"
            ) from error
        return noted

    def _note(self, name: str, noted: Mapping[str, Any]) -> None:
        path = self.directory / name
        fresh = path.with_suffix(".part")
        fresh.write_text(json.dumps(noted, indent=1, sort_keys=True), "utf-8")
        fresh.replace(path)


def is_archive(path: Path) -> bool:
    """Whether a directory is an archive, not a table in parts."""
    return path.is_dir() and (
        (path / "offsets.json").is_file()
        or any((path / kind).is_dir() for kind in SCHEMAS)
    )


@contextmanager
def readable(place: Path) -> Iterator[None]:
    """Refuse an archive, or a file of one, that `scoring archive` did not write.

    Raises `BadArtifact`. Within it nothing is done but to read files, and to ask.
    """
    import duckdb

    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        first = (str(error).splitlines() or [""])[0]
        told = (
            "holds files that `scoring archive` did not write, or that are damaged; "
            "move them elsewhere"
            if place.is_dir()
            else "is damaged, or `scoring archive` did not write it; move it elsewhere"
        )
        raise BadArtifact(f"{place}: {told}: {first}") from error


def check(archive: Archive) -> None:
    """Raise `BadArtifact` for files that are none of the archive's own."""
    with readable(archive.directory), connect() as con:
        archive.views(con)
        refuse_strangers(con)


def refuse_strangers(con: Any) -> None:
    """Raise `BadArtifact` for rows that are none of ours; needs `Archive.views`."""
    for kind, names in _NEVER_NULL.items():
        missing = " OR ".join(f"{name} IS NULL" for name in names)
        ((count,),) = con.execute(
            f"SELECT count(*) FROM archived_{kind} WHERE {missing}"  # noqa: S608 ours
        ).fetchall()
        if count:
            raise BadArtifact(
                f"archive: {count:,} {kind} lack one of {', '.join(names)}: "
                "`scoring archive` did not write them; move their files elsewhere"
            )
        found = {name: type_ for name, type_, *_ in _columns(con, f"archived_{kind}")}
        for name, type_, *_ in _columns(con, f"no_{kind}"):
            if found[name] != type_:
                raise BadArtifact(
                    f"archive: a file of {kind} has a {name} that is {found[name]}: "
                    "`scoring archive` did not write it; move it elsewhere"
                )


def _columns(con: Any, table: str) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = con.execute(f"DESCRIBE {table}").fetchall()
    return found


def write(path: Path, table: pa.Table) -> None:
    """Write a Parquet file that is there whole or not at all."""
    fresh = path.with_suffix(".part")
    pq.write_table(table, fresh, compression="zstd")
    fresh.replace(path)


def _place(path: Path) -> tuple[int, int, int]:
    found = _FILE.fullmatch(path.name)
    if found is None:
        raise BadArtifact(f"{path}: is not a file of an archive; move it elsewhere")
    partition, first, end = found.groups()
    return int(partition), int(first), int(end)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / _MS_PER_S, UTC).date().isoformat()


def text_sql(value: str) -> str:
    """A SQL literal.

    >>> text_sql("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"
