"""What each call of the program in the store is given: keys, then arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from struct import Struct

from scoring.core.features.catalogue import Catalogue
from scoring.core.features.statistic import Slot
from scoring.core.transaction.transaction import Transaction, order_hash
from scoring.ports import Check, LabelledTransaction, Recording
from scoring.stores.redis.keys import Layout, order_of, outbox_field
from scoring.stores.redis.script_compiler import (
    LABEL_BODY,
    EntityProgram,
    Program,
    split_ms,
)
from scoring.stores.redis.script_inputs import Inputs
from scoring.wire import recorded_to_bytes

_VERDICT = Struct(">IB")
Call = tuple[Sequence[bytes], Sequence[bytes | int]]


@dataclass(frozen=True, slots=True)
class Ask:
    """A forecast of some slots of one transaction's entities."""

    order: bytes
    entities: list[EntityProgram]
    keys: list[list[bytes]]
    offsets: list[bytes]
    inputs: Inputs

    def apart(self) -> list[Ask]:
        """The same, entity by entity."""
        return [
            replace(self, entities=[entity], keys=[keys], offsets=[offsets])
            for entity, keys, offsets in zip(
                self.entities, self.keys, self.offsets, strict=True
            )
        ]

    def call(self, as_of: Transaction, after: int | bytes, instants_max: int) -> Call:
        """The next instants after `after` (ms), with the payload as it is then.

        With an `instants_max` of 0, `after` is the instants, 6 bytes each.
        """
        return [key for keys in self.keys for key in keys], [
            self.order,
            after if isinstance(after, bytes) else after.to_bytes(6, "big"),
            instants_max,
            b"".join([entity.byte for entity in self.entities]),
            *self.inputs.of(as_of, [entity.plan for entity in self.entities]),
            *self.offsets,
        ]


@dataclass(frozen=True, slots=True)
class Arguments:
    """The calls of one catalogue under one layout; the Lua program says what of."""

    catalogue: Catalogue
    program: Program
    layout: Layout

    def observe(
        self, check: Check, *, stands: bool = False
    ) -> tuple[list[EntityProgram], Call]:
        """The entities that the reply speaks of, and the call.

        Of a decision that `stands`, nobody asks what is seen.
        """
        t = check.transaction
        entities, keys, inputs = self.layout.known(t)
        claims = self.layout.claims
        return entities, (
            [claims.decision(t.tenant, t.id), claims.processed, *keys],
            [
                b"D" if check.dry_run else b"A" if stands else b"N",
                check.payload_hash,
                order_of(t),
                b"".join([entity.byte for entity in entities]),
                *inputs,
            ],
        )

    def record(self, r: Recording) -> Call:
        """The decision, and where its outcome is counted."""
        keys: list[bytes] = []
        settled: list[bytes] = []
        if r.transaction is not None and r.outcome:
            keys, settled = self.layout.settled(r.transaction)
        claim = self.layout.claims.decision(r.tenant, r.transaction_id)
        outbox = self.layout.claims.outbox(r.tenant, r.transaction_id)
        mark = self.layout.claims.mark(r.tenant, r.transaction_id)
        return [claim, outbox, mark, *keys], [
            r.payload_hash,
            recorded_to_bytes(r.decision, r.transaction),
            outbox_field(r.tenant, r.transaction_id),
            r.logged or b"",
            int(r.outcome) if keys else 0,
            *settled,
        ]

    def attest(self, label: LabelledTransaction) -> Call:
        """The label's version and verdict, and how long they are kept."""
        t = label.transaction
        said = _VERDICT.pack(label.version, label.verdict)
        mark = self.layout.claims.mark(t.tenant, t.id)
        keys = [self.layout.verdicts(t.tenant, t.id), mark]
        return keys, [said, self.program.labels_ms]

    def learn(self, label: LabelledTransaction, *, apart: bool) -> list[Call]:
        """One call for all entities that keep labels, or `apart` one for each."""
        t = label.transaction
        amount = self.catalogue.amount(t)
        keys, plans, bodies = [], [], []
        for entity in self.program.entities:
            found = self.layout.entity_keys(t, entity) if entity.plan.labelled else None
            if found:
                bits = entity.label_bits(t, amount, fraud=label.fraud is True)
                keys.append([found[0], found[-1]])
                plans.append(entity.byte)
                bodies.append(_label_body(label, bits))
        if apart:
            each = zip(keys, plans, bodies, strict=True)
            return [(own, [plan, body]) for own, plan, body in each]
        joined = [key for own in keys for key in own]
        joined.append(self.layout.claims.processed)
        return [(joined, [b"".join(plans), *bodies])] if keys else []

    def forecast(self, t: Transaction, features: Sequence[str]) -> Ask | None:
        """None where no entity of the transaction owns one of the features."""
        wanted = self.catalogue.slots_of(features)
        owned: list[tuple[EntityProgram, frozenset[Slot]]] = [
            (entity, own)
            for entity in self.layout.known(t)[0]
            if (own := wanted.intersection(entity.plan.slots))
        ]
        if not owned:
            return None
        entities = [entity for entity, _ in owned]
        keys = [self.layout.entity_keys(t, entity) or [] for entity in entities]
        offsets = [entity.offsets(own) for entity, own in owned]
        return Ask(order_of(t), entities, keys, offsets, self.layout.inputs)


def _label_body(label: LabelledTransaction, bits: int) -> bytes:
    return LABEL_BODY.pack(
        *split_ms(label.transaction.occurred_at_ms),
        order_hash(label.transaction.id),
        label.version,
        *split_ms(label.known_at_ms),
        bits,
    )
