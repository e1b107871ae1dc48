"""The state of whole groups of a ledger's entities, made offline.

An entity that is busier than what the store keeps exactly was merged in steps that
depend on when each event came: those are left to be replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.core.features.catalogue import Catalogue
from scoring.history.ledger import Ledger, LedgerEntry
from scoring.history.packing.entity_bytes import Events, records, sightings
from scoring.stores.redis.bulk_load import Item
from scoring.stores.redis.keys import Layout, joined
from scoring.stores.redis.script_compiler import EntityProgram, Program, Terms
from scoring.training.offline.rates import with_amounts
from scoring.training.offline.sql import column_sql, key_of, named

_EVENTS_PER_GROUP = 400_000  # of one kind of entity, in memory at once
_ORDER = ("entity", "at_ms", "n")
_PROOF_ENTITIES, _PROOF_EVENTS_MAX = 8, 120


@dataclass(frozen=True, slots=True)
class Packed:
    """The state of one entity; no items where it has to be replayed."""

    tokens: tuple[str, ...]  # the tenant, then what names it
    items: tuple[Item, ...]


class Packer:
    """The histories of a ledger, packed by kind of entity."""

    def __init__(self, ledger: Ledger, layout: Layout, terms: Terms) -> None:
        self.ledger = ledger
        self.catalogue: Catalogue = ledger.catalogue
        self.layout = layout
        program = Program(self.catalogue, terms)
        # What happened to payments is learned again: it is packed nowhere.
        self.entities = [e for e in program.entities if not e.plan.of_events]
        self.tables = {e.plan.name: e.table(terms) for e in self.entities}
        # Entities share many inputs, and most are dear hashes: each is taken once.
        columns = [column for e in self.entities for column in e.plan.columns]
        self._inputs = {
            sql: f"input_{i}"
            for i, sql in enumerate(dict.fromkeys(map(column_sql, columns)))
        }
        fields = dict.fromkeys(f for e in self.entities for f in e.plan.fields)
        inputs = [f"({sql})::DOUBLE AS {name}" for sql, name in self._inputs.items()]
        ledger.con.execute(
            f"""CREATE OR REPLACE TABLE counted AS
            SELECT {", ".join([key_of(fields), *inputs])}, n,
                occurred_at_ms AS at_ms,
                ('0x' || substr(sha256(id), 1, 8))::BIGINT AS hi,
                ('0x' || substr(sha256(id), 9, 8))::BIGINT AS lo
            FROM {with_amounts(ledger.con, self.catalogue, "history")}
            WHERE NOT too_late"""  # noqa: S608 - our own columns
        )

    def groups(self) -> Iterator[tuple[EntityProgram, str]]:
        """Every kind of entity in groups that fit into memory, as a condition."""
        rows = max(self.ledger.count // _EVENTS_PER_GROUP + 1, 1)
        for entity in self.entities:
            key = key_of(entity.plan.fields)
            for i in range(rows):
                yield entity, f"hash({key}) % {rows} = {i}"

    def packed(
        self, entity: EntityProgram, where: str, *, layout: Layout | None = None
    ) -> list[Packed]:
        """The state of a group's entities."""
        layout = layout or self.layout
        names, events = self._events(entity, where)
        if not names:
            return []
        table = self.tables[entity.plan.name]
        counts = np.diff(events.starts, append=len(events.n))
        logs = records(table, events)
        seen, most = sightings(table, events) if table["hashes"] else ([], counts * 0)
        hot = (counts >= table["events_max"]) | (most > table["distinct_max"])
        values = zip(logs, seen, strict=True) if seen else zip(logs, strict=True)
        ttl_ms, found = table["ttl"], []
        for tokens, own, busy in zip(names, values, hot.tolist(), strict=True):
            items: tuple[Item, ...] = ()
            if not busy:
                keys = layout.keys_of(entity, tokens[0], joined(tokens[1:]))
                items = tuple([(k, v, ttl_ms) for k, v in zip(keys, own, strict=False)])
            found.append(Packed(tokens, items))
        return found

    def _events(
        self, entity: EntityProgram, where: str
    ) -> tuple[list[tuple[str, ...]], Events]:
        plan, con = entity.plan, self.ledger.con
        key = key_of(plan.fields)
        # Events are sorted by the number of their entity: names are dear to sort.
        con.execute(
            f"""CREATE OR REPLACE TABLE entities AS
            SELECT *, row_number() OVER () - 1 AS entity FROM (SELECT DISTINCT {key}
                FROM counted WHERE {named(plan.fields)} AND {where})"""  # noqa: S608
        )
        names = con.execute(f"SELECT {key} FROM entities ORDER BY entity").fetchall()  # noqa: S608
        columns = [self._inputs[column_sql(column)] for column in plan.columns]
        rows = con.execute(
            f"""SELECT {", ".join(dict.fromkeys((*_ORDER, "hi", "lo", *columns)))}
            FROM counted JOIN entities USING ({key})
            ORDER BY {", ".join(_ORDER)}"""  # noqa: S608
        ).fetchnumpy()
        number, at_ms = rows["entity"], rows["at_ms"]
        inputs = [
            np.ma.filled(np.ma.asarray(rows[name], np.float64), np.nan)
            for name in columns
        ]
        since = np.diff(at_ms, prepend=0)
        fresh = (np.diff(number, prepend=-1) != 0) | (since > self.catalogue.horizon_ms)
        events = Events(number, at_ms, rows["hi"], rows["lo"], rows["n"], fresh, inputs)
        return names, events

    def put_aside(
        self, entity: EntityProgram, busy: list[tuple[str, ...]], name: str
    ) -> str:
        """Note entities that have to be replayed; returns their condition."""
        key = key_of(entity.plan.fields)
        columns = key.replace(",", " VARCHAR,") + " VARCHAR"
        self.ledger.con.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")
        holes = ", ".join("?" * (1 + len(entity.plan.fields)))
        self.ledger.con.executemany(f"INSERT INTO {name} VALUES ({holes})", busy)  # noqa: S608
        return f"({key}) IN (SELECT * FROM {name})"  # noqa: S608

    def sample(self) -> list[tuple[EntityProgram, str]]:
        """A few entities of each kind that are neither new nor busy, as conditions."""
        chosen = []
        for entity in self.entities:
            key = key_of(entity.plan.fields)
            rows = self.ledger.con.execute(
                f"""SELECT {key} FROM counted WHERE {named(entity.plan.fields)}
                GROUP BY {key} HAVING count(*) <= {_PROOF_EVENTS_MAX}
                ORDER BY count(*) DESC, hash({key}) LIMIT {_PROOF_ENTITIES}"""  # noqa: S608
            ).fetchall()
            if rows:
                listed = ", ".join(map(_literals, rows))
                chosen.append((entity, f"({key}) IN ({listed})"))
        return chosen

    def history_of(self, sample: list[tuple[EntityProgram, str]]) -> list[LedgerEntry]:
        """Every counted transaction of the sample, in processing order."""
        where = " OR ".join(f"({condition})" for _, condition in sample)
        if not where:
            return []
        return list(self.ledger.decided(where=f"NOT too_late AND ({where})"))


def _literals(row: tuple[Any, ...]) -> str:
    texts = ", ".join("'" + str(value).replace("'", "''") + "'" for value in row)
    return f"({texts})"
