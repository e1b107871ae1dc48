"""The catalogue compiled for the online engine: a Lua table and byte layouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import nan
from typing import Any

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.expression import names_of
from scoring.core.features.slot import KNOWN, NORMAL, Column, Kind, Op, Slot
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact
from scoring.stores.redis import lua_source
from scoring.stores.redis.entity_record import COORDINATES, EVERY, RecordLayout
from scoring.stores.redis.formats import (
    LABEL_COLUMNS_MAX,
    LABEL_FRAUD,
    LABELS_MAX,
    TIME_SIZE,
)

# A future-dated event within the skew allowed must not expire what is still needed.
_SKEW_MS = 3_600_000
# An entity's keys get their whole life anew once in so much of event time.
_RENEWED_MS = 86_400_000

# The store's part for each reading: the table of a plan's reads that brings it to the
# Lua in windows.lua; of the others each is named there.
PARTS: Mapping[Op, str] = {
    Op.TOTAL: "totals",
    Op.LARGEST: "tops",
    Op.DISTINCT: "distincts",
    **dict.fromkeys((Op.BEFORE, Op.TIME_BEFORE, Op.SEEN, Op.FRAUDS), "others"),
    **dict.fromkeys((Op.STREAK, Op.STREAK_START, Op.FRAUD_TIME), "others"),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the store was set up with, in milliseconds."""

    lateness_ms: int
    dedupe_ms: int


class EntityProgram:
    """One entity's part: where its columns are, and what a call carries."""

    def __init__(self, plan: EntityPlan, catalogue: Catalogue, number: int) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.byte = bytes([number])
        self.counterparts = [
            i for i, c in enumerate(plan.columns) if c.kind is Kind.COUNTERPART
        ]
        self.label_columns = tuple(
            dict.fromkeys(s.column for s in plan.slots if s.op.of_labels)
        )
        if len(self.label_columns) > LABEL_COLUMNS_MAX:
            raise BadArtifact(
                f"{plan.name}: at most {LABEL_COLUMNS_MAX} different filters of labels"
            )
        self.record = RecordLayout(plan)

    @cached_property
    def reads_clock(self) -> bool:
        """Whether a filter rests on the time of day, so that inputs change with it."""
        names = [names_of(column.filter) for column in self.plan.columns]
        return bool(frozenset().union(*names) & {"hour", "weekday"})

    def offsets(self, slots: Iterable[Slot]) -> bytes:
        """How long after an event a window of these slots loses it, 6 bytes each."""
        spans = {s.window_ms + s.delay_ms for s in slots if s.window_ms}
        return b"".join(span.to_bytes(TIME_SIZE) for span in sorted(spans))

    def label_bits(self, t: Transaction, amount: int | None, *, fraud: bool) -> int:
        """Bit 0: fraud; the others: whether each label column counts the event."""
        bits = LABEL_FRAUD if fraud else 0
        values = self.plan.read(t, amount)
        for i, column in enumerate(self.label_columns, 1):
            assert column is not None
            value = values[self.plan.columns.index(column)]
            bits |= (value is not None) << i
        return bits

    def table(self, terms: Terms) -> dict[str, Any]:
        """What the Lua program needs to know of the entity."""
        spans = sorted({s.window_ms + s.delay_ms for s in self.plan.slots} - {0})
        keep = self.catalogue.retention_ms + terms.lateness_ms + _SKEW_MS
        return {
            "name": self.plan.name,
            **self.record.table(),
            "inputs": "<"
            + "d" * len(self.plan.columns)
            + "I1" * len(self.plan.by_outcome),
            "outcomes": [i + 1 for i in self.plan.by_outcome],
            "columns": [self._column(c) for c in self.plan.columns],
            "normals": self._normals(),
            "hashes": [i + 1 for i in self.counterparts],
            "edges": self._edges,
            "slots": len(self.plan.slots),
            **self._reads(),
            "spans": spans or [self.catalogue.retention_ms],
            "horizon": self.catalogue.horizon_ms,
            "retention": self.catalogue.retention_ms,
            "keep": keep,
            "renewed": _RENEWED_MS,
            "ttl": self._life_ms(keep, terms),
            "lateness": terms.lateness_ms,
            "events_max": self.catalogue.events_max,
            "distinct_max": self.catalogue.distinct_max,
            "labels_max": LABELS_MAX,
            "labelled": self.plan.labelled,
            # Since when each lifecycle event is known; of payments nothing is kept.
            **({"known": self._read(KNOWN)} if self.plan.of_events else {}),
        }  # fmt: skip

    def _life_ms(self, keep_ms: int, terms: Terms) -> int:
        """How long an entity's keys live after they were last renewed.

        The wall clock runs ahead of event time by what an input waits in its topic,
        which is shorter than the dedupe horizon (`topics check`), and behind it by
        the skew.
        """
        asked_ms = max(self.catalogue.horizon_ms, keep_ms)
        return asked_ms + _RENEWED_MS + terms.dedupe_ms + _SKEW_MS

    def _column(self, column: Column) -> dict[str, Any]:
        places = self.record.places
        table = {"kind": self.record.kind(column), "at": places[column]}
        if column != EVERY:
            table |= self.record.where(column)
        if column.kind is Kind.LAST:
            located = column.measure in {*COORDINATES, "located_at"}
            own = (
                Column(Kind.LAST, "located_at")
                if located
                else Column(Kind.COUNTERPART, column.measure)
            )
            table |= {"own": places[own], "own_time": located}
        return table

    def _normals(self) -> list[dict[str, Any]]:
        groups = {
            (c.measure, c.filter, c.trim)
            for c in self.plan.columns
            if c.kind is Kind.NORMAL_COUNT
        }
        return [self._normal(*group) for group in sorted(groups)]

    def _normal(self, measure: str, filter_: str, trim: float) -> dict[str, Any]:
        folds = [Column(kind, measure, filter_, trim) for kind in NORMAL]
        own = {*folds, Column(Kind.UNUSUAL, measure, filter_, trim)}
        unusual = self.record.places.get(Column(Kind.UNUSUAL, measure, filter_, trim))
        return {
            **{
                key: self.record.places[c] for key, c in zip("nshl", folds, strict=True)
            },
            **({"u": unusual} if unusual else {}),
            "slots": [
                i for i, slot in enumerate(self.plan.slots, 1) if slot.column in own
            ],
            "trim": trim,
            "input": self.plan.columns.index(folds[0]) + 1,
            "sum_at": self.record.places[Column(Kind.SUM, measure, filter_)],
            "count_at": self.record.places[Column(Kind.COUNT, measure, filter_)],
        }

    @cached_property
    def _edges(self) -> list[int]:
        offsets = {s.window_ms + s.delay_ms for s in self.plan.slots if s.window_ms}
        offsets |= {s.delay_ms for s in self.plan.slots}
        return sorted(offsets - {0})

    def _reads(self) -> dict[str, Any]:
        """The slots by how they are read, windows in ascending order."""
        slots = sorted(enumerate(self.plan.slots, 1), key=lambda s: s[1].window_ms)
        others = [self._other(i, s) for i, s in slots if PARTS[s.op] == "others"]
        return {
            "totals": self._totals(slots),
            "tops": self._grouped(slots, Op.LARGEST),
            "distincts": self._grouped(slots, Op.DISTINCT),
            "others": others,
        }

    def _edge(self, offset_ms: int) -> int:
        return self._edges.index(offset_ms) + 1

    def _upper(self, slot: Slot) -> int:
        """0: the transaction itself, -1: the event before it, else an edge."""
        if slot.delay_ms:
            return self._edge(slot.delay_ms)
        return 0 if slot.current else -1

    def _totals(self, slots: list[tuple[int, Slot]]) -> list[dict[str, Any]]:
        """Counts and sums by the edges they lie between, flat: slot and place."""
        spans: dict[tuple[int, int], dict[str, list[int]]] = {}
        for i, slot in slots:
            if slot.op is Op.TOTAL and slot.column is not None:
                lower = self._edge(slot.window_ms + slot.delay_ms)
                span = (lower, self._upper(slot))
                flat = spans.setdefault(span, {"slots": [], "sums": []})
                kind = "sums" if self.record.is_sum(slot.column) else "slots"
                flat[kind] += [i, self.record.places[slot.column]]
        return [
            {"lower": lower, "upper": upper, **flat}
            for (lower, upper), flat in spans.items()
        ]

    def _grouped(self, slots: list[tuple[int, Slot]], op: Op) -> list[dict[str, Any]]:
        """The windows of each column, flat: slot, edge and (distinct) window."""
        groups: dict[Column, list[int]] = {}
        for i, slot in slots:
            if slot.op is op and slot.column is not None:
                window = [slot.window_ms] if op is Op.DISTINCT else []
                group = groups.setdefault(slot.column, [])
                group += [i, self._edge(slot.window_ms), *window]
        return [{**self._read(c), "slots": flat} for c, flat in groups.items()]

    def _read(self, column: Column) -> dict[str, Any]:
        number = self.plan.columns.index(column)
        table: dict[str, Any] = {"at": self.record.places[column], "input": number + 1}
        table |= self.record.where(column)
        if column.kind is Kind.COUNTERPART:
            table["part"] = self.counterparts.index(number) + 1
        return table

    def _other(self, i: int, slot: Slot) -> dict[str, Any]:
        table: dict[str, Any] = {"i": i, "op": str(slot.op), "delay": slot.delay_ms}
        table |= {"window": slot.window_ms, "upper": self._upper(slot)}
        if slot.column is None:
            return table
        table |= self._read(slot.column)
        if slot.op.of_labels:
            table["bit"] = (2 * LABEL_FRAUD) << self.label_columns.index(slot.column)
        if slot.op is Op.BEFORE:
            carried = slot.column.kind is Kind.LAST
            table["empty"] = nan if carried else 0
            table["count"] = slot.column.kind is Kind.NORMAL_COUNT
            table["sum"] = self.record.is_sum(slot.column)
            if not carried:
                del table["none"]
        return table


class Program:
    """The whole Lua program of a catalogue, and its parts by entity."""

    def __init__(self, catalogue: Catalogue, terms: Terms) -> None:
        self.catalogue = catalogue
        self.entities = tuple(
            EntityProgram(plan, catalogue, i)
            for i, plan in enumerate(catalogue.plans, 1)
        )
        plans = [entity.table(terms) for entity in self.entities]
        # No feature sees a label for longer.
        self.labels_ms: int = max((plan["ttl"] for plan in plans), default=0)
        self.source = lua_source.program(plans, dedupe_ms=terms.dedupe_ms)
        self.name = "scoring_" + sha256(self.source.encode()).hexdigest()[:16]

    def library(self) -> str:
        """The program as a library of server-side functions (Redis 7 and later)."""
        return lua_source.library(self.source, self.name)

    def script(self, call: str) -> str:
        """One call as a script, for servers without functions."""
        return lua_source.script(self.source, call)
