"""Erases what is kept of one entity, and says what the topics still hold."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.core.features.catalogue import Catalogue
from scoring.core.features.readable import entry_sql, is_keyed
from scoring.core.transaction.fields import Role
from scoring.core.transaction.transaction import FIELD_OF, FIELDS, FORMS
from scoring.errors import BadArtifact
from scoring.history.archive import Archive, check, readable, write
from scoring.history.masking import masked_row, text_in
from scoring.history.rows import DECISIONS, EVENTS, LABELS
from scoring.history.topic_archiver import Progress, silent
from scoring.stores.redis.bulk_load import RedisHistory
from scoring.training.sql import connect

_FOLLOW_UPS = {"labels": LABELS, "events": EVENTS}
_FIELDS = tuple(field.name for field in FIELDS if field.role is Role.ENTITY)
# What else names a payer, and is theirs alone.
_ALSO_THEIRS = tuple(f.name for f in FIELDS if f.names_payer and f.personal)
_KEPT = frozenset(field.name for field in FIELDS)
_MS_PER_S = 1_000


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity by the field of a transaction that names it."""

    tenant: str
    field: str
    token: str


_CASES = (
    "the control plane's cases and lists are another database: "
    "`scoring cases forget` erases them"
)


@dataclass(slots=True)
class Forgotten:
    """What was erased, and what was not."""

    state_keys: int = 0
    decisions: int = 0
    archived: int = 0
    newest_ms: int = 0  # when the entity's last transaction was received
    topics: dict[str, int | None] = field(default_factory=dict)

    def __str__(self) -> str:
        """What the operator tells whoever asked."""
        lines = [
            (
                f"erased: {self.state_keys:,} keys of state, {self.decisions:,} "
                f"recorded decisions; masked: {self.archived:,} archived transactions"
            ),
            *(
                f"{topic} still holds its records {_until(self.newest_ms, kept_ms)}"
                for topic, kept_ms in self.topics.items()
                if self.newest_ms
            ),
            _CASES,
        ]
        return "\n".join(lines)


def _until(newest_ms: int, kept_ms: int | None) -> str:
    """Until when a topic's retention keeps a record.

    >>> _until(1_767_225_600_000, 90 * 86_400_000)
    'until 2026-04-01 at the latest'
    >>> _until(1_767_225_600_000, -1)
    'for ever: give it a retention'
    """
    if kept_ms is None:
        return "for as long as its retention, which the broker does not tell"
    if kept_ms < 0:
        return "for ever: give it a retention"
    # A segment goes when its newest record is old enough, and the day is begun.
    last = datetime.fromtimestamp((newest_ms + kept_ms) / _MS_PER_S, UTC)
    return f"until {last.date().isoformat()} at the latest"


def named_entity(text: str, tenant: str, catalogue: Catalogue) -> Entity:
    """Read KIND:TOKEN; raises `BadArtifact` for a kind that names nobody.

    >>> from scoring.core.features.catalogue import default_catalogue
    >>> named_entity("card:c-4711", "default", default_catalogue()).token
    'c-4711'
    """
    kind, _, token = text.partition(":")
    single = {
        plan.name: plan.fields[0]
        for plan in catalogue.plans
        if not plan.of_events and len(plan.fields) == 1 and _is_kept(plan.fields[0])
    }
    keyed = [name for plan in catalogue.plans for name in plan.fields if is_keyed(name)]
    known = {**{name: name for name in (*_FIELDS, *keyed)}, **single}
    if kind not in known or not token:
        raise BadArtifact(
            f"{text!r} names no entity: write KIND:TOKEN, KIND one of "
            f"{', '.join(sorted(known))}"
        )
    field = known[kind]
    return Entity(
        tenant, field, FORMS[field].spelled(token) if field in FORMS else token
    )


def _is_kept(field: str) -> bool:
    """Whether the archive keeps it: what is worked out of others it does not."""
    return field in _KEPT or is_keyed(field)


def _column(field: str) -> str:
    """A text as SQL, in the archive's own columns."""
    return entry_sql(field, {"attributes": "MAP"}) if is_keyed(field) else field


async def forget(
    entity: Entity,
    archive: Archive,
    store: RedisHistory,
    catalogue: Catalogue,
    progress: Progress = silent,
) -> Forgotten:
    """Erase an entity from the store and mask it in an archive that is up to date.

    A payer is forgotten with all that is personal in their payments, and with the
    state of what names them, too (e-mail address, phone, account). Other entities keep
    what they counted with it: their numbers stay right, and what is masked cannot be
    traced back. Safe to repeat. Raises `BadArtifact` for files that are not the
    archive's own, where it can before anything is erased.
    """
    forgotten = Forgotten()
    check(archive)
    ids, theirs = _transactions(entity, archive, forgotten)
    for plan in catalogue.plans:
        for own in (entity, *theirs):
            if own.field in plan.fields:
                forgotten.state_keys += await store.forget_entity(
                    plan, tenant=own.tenant, field=own.field, token=own.token
                )
    forgotten.decisions = await store.forget_decisions(
        [(entity.tenant, id_) for id_ in ids]
    )
    mask = f"forgotten-{token_hex(8)}"
    archive.remember_to_forget(entity.tenant, entity.field, entity.token, mask)
    _mask(entity, archive, mask, forgotten, progress)
    return forgotten


def _transactions(
    entity: Entity, archive: Archive, forgotten: Forgotten
) -> tuple[list[str], list[Entity]]:
    """The ids of an entity's payments, and what else names their payer in them."""
    also = [name for name in _ALSO_THEIRS if name != entity.field]
    field = FIELD_OF.get(entity.field)
    also = also if field is not None and field.names_payer else []
    columns = ", ".join(("id", "received_at_ms", *also))
    con: Any = connect()
    with closing(con), readable(archive.directory):
        archive.views(con)
        rows = con.execute(
            f"SELECT {columns} FROM decisions "  # noqa: S608 our own fields
            f"WHERE tenant = ? AND {_column(entity.field)} = ?",
            [entity.tenant, entity.token],
        ).fetchall()
    forgotten.newest_ms = max((row[1] for row in rows), default=0)
    theirs = {
        Entity(entity.tenant, name, token)
        for row in rows
        for name, token in zip(also, row[2:], strict=True)
        if token
    }
    return [row[0] for row in rows], list(theirs)


def _mask(
    entity: Entity,
    archive: Archive,
    mask: str,
    forgotten: Forgotten,
    progress: Progress,
) -> None:
    masked: set[str] = set()
    files = archive.files("decisions")
    for i, path in enumerate(files, 1):
        progress("masking", i, len(files))
        table = _read(path, DECISIONS)
        rows = table.to_pylist(maps_as_pydicts="strict")
        own = [
            n
            for n, row in enumerate(rows)
            if row["tenant"] == entity.tenant
            and text_in(row, entity.field) == entity.token
        ]
        if not own:
            continue
        for n in own:
            rows[n] = masked_row(rows[n], entity.field, mask)
            masked.add(rows[n]["id"])
        write(path, table.from_pylist(rows, schema=DECISIONS))
    forgotten.archived = len(masked)
    _mask_follow_ups(archive, entity.tenant, masked)


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    with readable(path):
        return pq.read_table(path, schema=schema, partitioning=None)


def _mask_follow_ups(archive: Archive, tenant: str, ids: set[str]) -> None:
    """Take embedded transactions out of labels and events: the archive has its own."""
    files = [
        (path, s) for kind, s in _FOLLOW_UPS.items() for path in archive.files(kind)
    ]
    for path, schema in files:
        table = _read(path, schema)
        rows = table.to_pylist()
        own = [r for r in rows if r["tenant"] == tenant and r["transaction_id"] in ids]
        if any(row["transaction"] is not None for row in own):
            for row in own:
                row["transaction"] = None
            write(path, table.from_pylist(rows, schema=schema))
