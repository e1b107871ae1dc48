"""What each call of the program in the store is given of a transaction or label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scoring.core.features.catalogue import Catalogue
from scoring.core.features.happened import happened
from scoring.core.features.slot import Slot
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction
from scoring.ports.check import Check
from scoring.ports.follow_ups import FollowUp, LabelledTransaction, TransactionEvent
from scoring.ports.records import Recording
from scoring.stores.redis import calls
from scoring.stores.redis.calls import Call
from scoring.stores.redis.formats import (
    LABEL_REST,
    NOTE_EVENT,
    NOTE_LABEL,
    NOTE_REPORTED,
    TIME_SIZE,
    VERDICT,
    Mode,
)
from scoring.stores.redis.keys import Layout, order_bytes, order_of, outbox_field
from scoring.stores.redis.script_compiler import EntityProgram, Program
from scoring.stores.redis.script_inputs import Inputs
from scoring.wire import follow_up_to_bytes, recorded_to_bytes, said_of


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
        return calls.forecast(
            *[key for keys in self.keys for key in keys],
            order=self.order,
            after=after if isinstance(after, bytes) else after.to_bytes(TIME_SIZE),
            most=instants_max,
            plans=b"".join([entity.byte for entity in self.entities]),
            inputs=self.inputs.of(as_of, [entity.plan for entity in self.entities]),
            offsets=self.offsets,
        )


@dataclass(frozen=True, slots=True)
class Arguments:
    """The calls of one catalogue under one layout; the Lua program says what of."""

    catalogue: Catalogue
    program: Program
    layout: Layout

    def observe(
        self, check: Check, *, decided: bool = False
    ) -> tuple[list[EntityProgram], Call]:
        """The entities that the reply speaks of, and the call.

        Of a decision that is `decided`, nobody asks what is seen.
        """
        t = check.transaction
        entities, keys, inputs = self.layout.known(t)
        claims = self.layout.claims
        return entities, calls.observe(
            claims.decision(t.tenant, t.id),
            claims.processed,
            *keys,
            mode=Mode.DRY_RUN
            if check.dry_run
            else Mode.UNSEEN
            if decided
            else Mode.COUNT,
            payload_hash=check.payload_hash,
            order=order_of(t),
            plans=b"".join([entity.byte for entity in entities]),
            inputs=inputs,
        )

    def record(self, r: Recording, *, apart: bool = False) -> Call:
        """The decision, and where its outcome is counted.

        With `apart` that is said by `settle`: the entities are on other servers.
        """
        events: list[bytes] = []
        inputs: list[bytes] = []
        plans = order = b""
        if r.transaction is not None and r.outcome:
            events, plans, inputs = self.layout.settled(r.transaction)
        outcome = int(r.outcome) if events else 0
        if apart:
            events, plans, inputs = [], b"", []
        if events and r.transaction is not None:
            order = order_of(r.transaction)
        claims, id_ = self.layout.claims, (r.tenant, r.transaction_id)
        return calls.record(
            claims.decision(*id_),
            claims.outbox(*id_),
            claims.mark(*id_),
            *events,
            payload_hash=r.payload_hash,
            decision=recorded_to_bytes(r.decision, r.transaction),
            field=outbox_field(*id_),
            logged=r.logged or b"",
            outcome=outcome,
            order=order,
            plans=plans,
            inputs=inputs,
        )

    def settle(self, r: Recording) -> list[Call]:
        """The outcome of a recorded decision, entity by entity."""
        t = r.transaction
        assert t is not None
        events, plans, inputs = self.layout.settled(t)
        return [
            calls.settle(
                key,
                outcome=int(r.outcome),
                order=order_of(t),
                plan=plans[i : i + 1],
                inputs=inputs[i],
            )
            for i, key in enumerate(events)
        ]

    def settled(self, r: Recording) -> Call:
        """That the outcome of a recorded decision is counted everywhere."""
        claims, id_ = self.layout.claims, (r.tenant, r.transaction_id)
        return calls.keep(
            claims.decision(*id_), claims.mark(*id_), payload_hash=r.payload_hash
        )

    def attest(self, one: FollowUp) -> Call:
        """What the follow-up says, and how long that is kept."""
        t, told = one.transaction, one.told
        mark = self.layout.claims.mark(t.tenant, t.id)
        follow_ups = self.layout.follow_ups(t.tenant, t.id)
        note = said_of(told) + NOTE_REPORTED + follow_up_to_bytes(told)
        ttl_ms = self.program.labels_ms
        if isinstance(told, LifecycleEvent):
            name = NOTE_EVENT + told.event_id.encode()
            return calls.note(follow_ups, mark, name=name, note=note, ttl_ms=ttl_ms)
        return calls.attest(
            self.layout.verdicts(t.tenant, t.id),
            mark,
            follow_ups,
            told=VERDICT.pack(told.version, told.verdict),
            ttl_ms=ttl_ms,
            name=NOTE_LABEL + b"%d" % told.version,
            note=note,
        )

    def happen(self, one: TransactionEvent) -> list[Call]:
        """The call for all entities that count it, where one server has all."""
        t, found = one.transaction, self._counting(one)
        if not found:
            return []
        own = [key for _, keys, _ in found for key in keys]
        own += [self.layout.counted(t.tenant, t.id), self.layout.claims.processed]
        plans = b"".join([entity.byte for entity, _, _ in found])
        return [self._happen(one, own, plans, [given for *_, given in found])]

    def counted(self, one: TransactionEvent) -> tuple[bytes, bytes]:
        """Says that an event is counted: a hash, and the name there."""
        t, name = one.transaction, self.layout.counted_name(_order_of_event(one))
        return self.layout.counted(t.tenant, t.id), name

    def counted_apart(self, one: TransactionEvent) -> list[tuple[bytes, bytes]]:
        """The same of each entity of a cluster, until its payment knows."""
        name = self.layout.counted_name(_order_of_event(one))
        return [
            (self.layout.counted_apart(keys), name)
            for _, keys, _ in self._counting(one)
        ]

    def happen_apart(self, one: TransactionEvent, *, again: bool) -> list[Call]:
        """A call for each entity that counts it; `again` where its payment knows."""
        return [
            self._happen(
                one,
                [*keys, self.layout.counted_apart(keys)],
                entity.byte,
                [given],
                again=again,
            )
            for entity, keys, given in self._counting(one)
        ]

    def _happen(
        self,
        one: TransactionEvent,
        own: Sequence[bytes],
        plans: bytes,
        inputs: Sequence[bytes],
        *,
        again: bool = False,
    ) -> Call:
        order = _order_of_event(one)
        return calls.happen(
            *own,
            order=order,
            plans=plans,
            again=int(again),
            name=self.layout.counted_name(order),
            ttl_ms=self.program.labels_ms,
            inputs=inputs,
        )

    def _counting(
        self, one: TransactionEvent
    ) -> list[tuple[EntityProgram, list[bytes], bytes]]:
        """The entities that count an event, each with its keys and its inputs."""
        found = [
            (entity, keys)
            for entity in self.program.entities
            if entity.plan.of_events
            and (keys := self.layout.entity_keys(one.transaction, entity))
        ]
        own = happened(self.catalogue, one.transaction, one.event).transaction
        inputs = self.layout.inputs.of(own, [entity.plan for entity, _ in found])
        return [(*e, given) for e, given in zip(found, inputs, strict=True)]

    def learn(self, label: LabelledTransaction, *, apart: bool) -> list[Call]:
        """One call for all entities that keep a label, or `apart` one for each."""
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
            return [
                calls.learn(*own, plans=plan, labels=[body]) for own, plan, body in each
            ]
        if not keys:
            return []
        joined = [key for own in keys for key in own]
        joined.append(self.layout.claims.processed)
        return [calls.learn(*joined, plans=b"".join(plans), labels=bodies)]

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


def _order_of_event(one: TransactionEvent) -> bytes:
    return order_bytes(one.event.occurred_at_ms, one.event.order_hash)


def _label_body(label: LabelledTransaction, bits: int) -> bytes:
    order = order_of(label.transaction)
    return order + LABEL_REST.pack(label.version, label.known_at_ms, bits)
