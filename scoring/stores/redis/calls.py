"""The calls of the store's program: what each is given by name, and what it answers.

Positional parameters are keys, those after the star arguments; what comes in any number
(`*own`, and sequences) follows what is named. In the Lua parts `calls.observe` has the
same names in the same order: the program is assembled from these signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Parameter, signature

Keys = Sequence[bytes]
Arguments = Sequence[bytes | int | str]
Call = tuple[str, Keys, Arguments]  # its name first


def observe(
    claim: bytes,
    processed: bytes,
    *own: bytes,
    mode: bytes,
    payload_hash: bytes,
    order: bytes,
    plans: bytes,
    inputs: Sequence[bytes],
) -> Call:
    """Claim an id, look at its entities and count there.

    `own` are each entity's keys; `plans` has a byte for each, `inputs` its columns.
    The answer: the mode of what was done, its number in the order of processing,
    values, inexact slots, corrupt parts, and the recorded decision where there is one.
    """
    given = [mode, payload_hash, order, plans, *inputs]
    return "observe", [claim, processed, *own], given


def forecast(
    *own: bytes,
    order: bytes,
    after: bytes,
    most: int,
    plans: bytes,
    inputs: Sequence[bytes],
    offsets: Sequence[bytes],
) -> Call:
    """Look again at each of the next instants at which a window loses an event.

    At most `most` instants after `after` (6 bytes), from what is ordered at or before
    `order`; `offsets` has each entity's windows, 6 bytes each. With a `most` of 0,
    `after` is the instants themselves. The answer: the instants, 6 bytes each, and for
    each the values of all entities.
    """
    return "forecast", own, [order, after, most, plans, *inputs, *offsets]


def record(
    claim: bytes,
    outbox: bytes,
    mark: bytes,
    *events: bytes,
    payload_hash: bytes,
    decision: bytes,
    field: bytes,
    logged: bytes,
    outcome: int,
    order: bytes = b"",
    plans: bytes = b"",
    inputs: Sequence[bytes] = (),
) -> Call:
    """Record a decision, put it into the outbox, and count its outcome.

    `events` are of the entities that count by outcome. The answer: a `RecordReply` and
    the decision that stands, empty where it is ours; and where the outcome is still to
    be counted, because no `plans` were given, 1.
    """
    given: list[bytes | int] = [payload_hash, decision, field, logged, outcome]
    if plans:
        given += [order, plans, *inputs]
    return "record", [claim, outbox, mark, *events], given


def attest(
    verdicts: bytes,
    mark: bytes,
    follow_ups: bytes,
    *,
    told: bytes,
    ttl_ms: int,
    name: bytes,
    note: bytes,
) -> Call:
    """Note what a version of a payment's label says: a `VERDICT`.

    The first verdict of a version counts: the answer is 1 where it is this one. What is
    damaged is begun anew: entities keep each version once, too. The label itself is
    kept as by `note`.
    """
    return "attest", [verdicts, mark, follow_ups], [told, ttl_ms, name, note]


def note(
    follow_ups: bytes, mark: bytes, *, name: bytes, note: bytes, ttl_ms: int
) -> Call:
    """Note what became known of a payment, a `NOTE`, under its name there.

    The first of a name counts. The answer is 1 where this is it, 0 where another is;
    and -1 where the payment has as many as one keeps.
    """
    return "note", [follow_ups, mark], [name, note, ttl_ms]


def learn(*own: bytes, plans: bytes, labels: Sequence[bytes]) -> Call:
    """Keep a label with each entity; of a transaction not yet counted it waits.

    `own` are each entity's events and labels, then the mark where it is beside
    them. The answer: the corrupt parts.
    """
    return "learn", own, [plans, *labels]


def happen(
    *own: bytes,
    order: bytes,
    plans: bytes,
    again: int,
    name: bytes,
    ttl_ms: int,
    inputs: Sequence[bytes],
) -> Call:
    """Count a lifecycle event with each entity, once.

    `own` are each entity's keys, then the hash of what was counted, and the mark where
    it is beside them; `order` is the event's time and the hash of its id. What the
    hash has under this `name`, or comes `again`, was counted by these definitions. The
    answer: the corrupt parts.
    """
    return "happen", own, [order, plans, again, name, ttl_ms, *inputs]


def probe(mark: bytes) -> Call:
    """Write what is there, as any call may have to."""
    return "probe", [mark], []


# In a cluster.


def reach(processed: bytes, newest: bytes, *, time: int) -> Call:
    """Note the newest time of a batch, 0 where nothing is to be counted.

    The answer: the newest before it, empty where that is not known.
    """
    return "reach", [processed, newest], [time]


def claim(claim: bytes, mark: bytes, *, mode: bytes, payload_hash: bytes) -> Call:
    """Claim an id.

    The answer is as of `observe`, or, where it is to be counted, `Mode.OPEN`, the
    outcome and the decision that is recorded unobserved, '', and what is wrong.
    """
    return "claim", [claim, mark], [mode, payload_hash]


def late(events: bytes, *, order: bytes, plan: bytes) -> Call:
    """Whether a transaction is too late for an entity: 1 or 0."""
    return "late", [events], [order, plan]


def number(processed: bytes, *, count: int) -> Call:
    """Number transactions. The answer: the last of these numbers."""
    return "number", [processed], [count]


def count(*own: bytes, told: bytes, inputs: Sequence[bytes]) -> Call:
    """Look at one entity and count there; `told` is `TOLD`.

    The answer: values, or, where there is more to say, these, the inexact slots and
    the corrupt parts.
    """
    return "count", own, [told, *inputs]


def keep(
    claim: bytes,
    mark: bytes,
    *,
    payload_hash: bytes,
    done: bytes = b"",
    seq: int = 0,
    values: bytes = b"",
    inexact: bytes = b"",
    wrong: bytes = b"",
    outcome: int | str = "",
) -> Call:
    """Keep with a claim what was observed; a repeat is answered with it.

    A decision that stands already is observed from now on, if its outcome is the one
    that was counted with what was seen; none where it was settled.
    """
    given = (payload_hash, done, seq, values, inexact, wrong, outcome)
    return "keep", [claim, mark], given


def settle(
    events: bytes, *, outcome: int, order: bytes, plan: bytes, inputs: bytes
) -> Call:
    """Count the outcome of a transaction with one entity, once."""
    return "settle", [events], [outcome, order, plan, inputs]


@dataclass(frozen=True, slots=True)
class Shape:
    """The names that the Lua part of a call has as parameters."""

    keys: tuple[str, ...]
    arguments: tuple[str, ...]
    more: bool  # keys and arguments in any number follow

    @classmethod
    def of(cls, call: Callable[..., Call]) -> Shape:
        """The shape of one of the calls above."""
        given = signature(call).parameters.values()
        keys = [p.name for p in given if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
        named = [p for p in given if p.kind is Parameter.KEYWORD_ONLY]
        own = [p.name for p in named if not str(p.annotation).startswith("Sequence")]
        more = any(p.kind is Parameter.VAR_POSITIONAL for p in given)
        return cls(tuple(keys), tuple(own), more)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those of the function in Lua."""
        return (*(("keys", "args") if self.more else ()), *self.keys, *self.arguments)

    @property
    def given(self) -> str:
        """What it is called with there."""
        keys = [f"keys[{i}]" for i, _ in enumerate(self.keys, 1)]
        own = [f"args[{i}]" for i, _ in enumerate(self.arguments, 1)]
        return ", ".join([*(("keys", "args") if self.more else ()), *keys, *own])


SHAPES = {
    call.__name__: Shape.of(call)
    for call in (
        observe, forecast, record, note, attest, learn, happen,
        probe,
        reach, claim, late, number, count, keep, settle,
    )
}  # fmt: skip
