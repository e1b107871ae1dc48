"""What is under which key of the store, and what its replies mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.decision.decision import Degradation, DegradationCode
from scoring.core.features.catalogue import Catalogue
from scoring.core.features.readable import is_keyed, tokens_of
from scoring.core.features.vector import unknown_values
from scoring.core.transaction.transaction import Transaction, order_hash
from scoring.ports.history import Applied, Observation
from scoring.ports.records import Recorded, Recording
from scoring.stores.redis.claim_keys import ClaimKeys
from scoring.stores.redis.formats import (
    COUNTED_KEY,
    EVENTS_KEY,
    ID,
    LABELS_KEY,
    ORDER,
    SEEN_KEY,
    TIME_SIZE,
    Mode,
    RecordReply,
    bytes_of,
)
from scoring.stores.redis.script_compiler import EntityProgram, Program
from scoring.stores.redis.script_inputs import Inputs
from scoring.wire import decision_of

_APPLIED: dict[bytes, Applied] = {
    Mode.COUNT: Applied.COUNTED,
    Mode.REPEATED: Applied.REPEATED,
    Mode.LATE: Applied.TOO_LATE,
    Mode.DRY_RUN: Applied.DRY_RUN,
    Mode.CONFLICT: Applied.CONFLICT,
}
JOINER = "\x1f"
_ID_BITS = 8 * bytes_of(ID)


class Layout:
    """Keys, inputs and replies of one namespace and catalogue.

    `<namespace>:<catalogue>:{<entity>:<tenant>:<token>}:e|s|l` hold an entity's
    events, counterparts and labels; what else there is, `ClaimKeys` names.
    `claims` is another namespace for all but the entities: a rebuild's own.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        program: Program,
        namespace: str,
        *,
        claims: str = "",
        parted: bool = False,
    ) -> None:
        self._catalogue = catalogue
        self.entities = program.entities
        version = catalogue.version[:8]
        self._parts = {
            e.plan.name: (
                f"{namespace}:{version}:{{{e.plan.name}:",
                _endings(e),
            )
            for e in program.entities
        }
        self._token_of = {
            e.plan.name: _token_of(e.plan.fields) for e in program.entities
        }
        self.claims = ClaimKeys(claims or namespace, parted=parted)
        # Follow-ups are of the entities' history, whoever claims its transactions.
        own = ClaimKeys(namespace, parted=parted)
        self.verdicts, self.follow_ups = own.verdicts, own.follow_ups
        self.counted, self._version = own.counted, version.encode()
        self.inputs = Inputs(catalogue)
        self.unknown = unknown_values(catalogue)

    def entity_keys(self, t: Transaction, entity: EntityProgram) -> list[bytes] | None:
        """Keys of one entity's history; None where the transaction does not name it."""
        token = self._token_of[entity.plan.name](t)
        return self.keys_of(entity, t.tenant, token) if token else None

    def keys_of(self, entity: EntityProgram, tenant: str, token: str) -> list[bytes]:
        """Keys of the history of the entity that a token names."""
        start, endings = self._parts[entity.plan.name]
        stem = f"{start}{tenant}:{token}".encode()
        return [stem + ending for ending in endings]

    @staticmethod
    def counted_apart(keys: list[bytes]) -> bytes:
        """In a cluster: what the entity of these keys counted, until payments know."""
        return keys[0].removesuffix(EVENTS_KEY.encode()) + COUNTED_KEY.encode()

    def counted_name(self, order: bytes) -> bytes:
        """What says that these definitions counted the event of this order."""
        return self._version + order[TIME_SIZE:]

    def known(
        self, t: Transaction
    ) -> tuple[list[EntityProgram], list[bytes], list[bytes]]:
        """The transaction's entities, their keys and their inputs."""
        entities, keys = [], []
        for entity in self.entities:
            found = self.entity_keys(t, entity)
            if found:
                entities.append(entity)
                keys += found
        return entities, keys, self.inputs.of(t, [entity.plan for entity in entities])

    def known_apart(
        self, t: Transaction
    ) -> list[tuple[EntityProgram, list[bytes], bytes]]:
        """The same, entity by entity."""
        found = [
            (entity, keys)
            for entity in self.entities
            if (keys := self.entity_keys(t, entity))
        ]
        inputs = self.inputs.of(t, [entity.plan for entity, _ in found])
        return [(*own, given) for own, given in zip(found, inputs, strict=True)]

    def settled(self, t: Transaction) -> tuple[list[bytes], bytes, list[bytes]]:
        """Where a recorded outcome is counted: keys of events, plans, and inputs."""
        entities = [e for e in self.entities if e.plan.by_outcome]
        keyed = [(e, k[0]) for e in entities if (k := self.entity_keys(t, e))]
        if not keyed:
            return [], b"", []
        plans = b"".join([entity.byte for entity, _ in keyed])
        inputs = self.inputs.of(t, [entity.plan for entity, _ in keyed])
        return [key for _, key in keyed], plans, inputs

    def observation(self, entities: list[EntityProgram], reply: Any) -> Observation:
        """What the reply to `observe` says of these entities."""
        done, seq, packed, inexact, corrupt, stored = reply
        applied = _APPLIED[done]
        return Observation(
            values=self.values(entities, packed),
            applied=applied,
            inexact=self._inexact(entities, inexact) if inexact else (),
            degradations=_corrupt(corrupt) if corrupt else (),
            stored=decision_of(stored) or None,
            processed_seq=seq,
        )

    def _places(self, entities: list[EntityProgram]) -> list[int]:
        return [
            entity.plan.first_slot + i
            for entity in entities
            for i in range(len(entity.plan.slots))
        ]

    def values(
        self, entities: list[EntityProgram], packed: bytes
    ) -> NDArray[np.float64]:
        """Stored values in compiled order; unknown for entities that were not asked."""
        if not packed:
            return self.unknown
        values = np.frombuffer(packed, "<f8")
        if len(values) == self._catalogue.stored_count:
            return values
        spread = self.unknown.copy()
        spread[self._places(entities)] = values
        return spread

    def forecast(
        self, entities: list[EntityProgram], reply: Any
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """What the reply to `forecast` says of these entities, instant by instant."""
        instants, packed = reply
        width = 8 * sum(len(entity.plan.slots) for entity in entities)
        return [
            (
                int.from_bytes(instants[at : at + TIME_SIZE]),
                self.values(entities, packed[width * i : width * (i + 1)]),
            )
            for i, at in enumerate(range(0, len(instants), TIME_SIZE))
        ]

    def _inexact(self, entities: list[EntityProgram], marked: bytes) -> tuple[str, ...]:
        places = self._places(entities)
        slots = {places[i - 1] for i in np.frombuffer(marked, ">u2").tolist()}
        names = {n for slot in slots for n in self._catalogue.slot_features[slot]}
        return tuple(sorted(names))


def _token_of(fields: tuple[str, ...]) -> Callable[[Transaction], str]:
    """What names an entity in a transaction; empty where it does not.

    >>> _token_of(("card",))(Transaction("default", "t1", card="c1"))
    'c1'
    >>> _token_of(("card", "merchant"))(Transaction("default", "t1", card="c1"))
    ''
    """
    if len(fields) == 1 and not is_keyed(fields[0]):
        return attrgetter(fields[0])
    tokens = tokens_of(fields)
    return lambda t: joined(found) if (found := tokens(t)) else ""


def joined(tokens: Sequence[str]) -> str:
    """The tokens of an entity as one, whatever they hold.

    >>> joined(["c1", "m1"])
    'c1\\x1fm1'
    """
    # Only the caller's own texts may hold what is not printable.
    return JOINER.join(
        [t.replace("\x1e", "\x1e0").replace(JOINER, "\x1e1") for t in tokens]
    )


def _endings(entity: EntityProgram) -> list[bytes]:
    """What an entity's keys end with: events, counterparts, labels."""
    kept = [EVENTS_KEY]
    if entity.counterparts:
        kept.append(SEEN_KEY)
    if entity.plan.labelled:
        kept.append(LABELS_KEY)
    return [f"}}:{kind}".encode() for kind in kept]


def _corrupt(parts: bytes) -> tuple[Degradation, ...]:
    return tuple(
        Degradation(DegradationCode.HISTORY_CORRUPT, part.decode())
        for part in parts.split(b",")
        if part
    )


def recorded_of(own: Recording, code: int, kept: bytes) -> Recorded:
    """What the reply to `record` says: what stands is not repeated where it is ours."""
    if code == RecordReply.OURS:
        return Recorded(own.decision, first=True)
    recorded = decision_of(kept)
    # An earlier release recorded it without its payment.
    conflict = code == RecordReply.CONFLICT
    return Recorded(
        recorded, first=not conflict and recorded == own.decision, conflict=conflict
    )


def order_of(t: Transaction) -> bytes:
    """By what an event is found among its entity's: its time, and its id's hash."""
    return order_bytes(t.occurred_at_ms, order_hash(t.id))


def order_bytes(at_ms: int, id_hash: int) -> bytes:
    """A time and the hash of an id: an `ORDER`."""
    return (at_ms << _ID_BITS | id_hash).to_bytes(ORDER.size)


def outbox_field(tenant: str, id_: str) -> bytes:
    """The name of a transaction in the outbox."""
    return f"{tenant}:{id_}".encode()  # a tenant holds no colon
