"""The feature catalogue: definitions compiled once into what the engines run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from importlib import resources

from scoring.core import document
from scoring.core.features.amount_counts import amount_counts
from scoring.core.features.bounds import ANY, BY_UNIT, POSITIVE, Bounds
from scoring.core.features.definition import Definition, DefinitionFile, span_ms
from scoring.core.features.event_fields import EVENT_AMOUNT
from scoring.core.features.expression import OUTCOME, bounds_of, names_of
from scoring.core.features.measure import Read, needs, reader, reading
from scoring.core.features.rates import RATE_SCALE, Rates, RatesInForce, no_rates
from scoring.core.features.rates_file import shipped_rates
from scoring.core.features.readable import STEPS, Tokens, is_keyed, tokens_of
from scoring.core.features.slot import KNOWN, Column, Slot
from scoring.core.features.statistic import MONEY, STATISTICS, Wanted
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

LAYOUT = 2  # of the stored state and of its meaning; part of every version hash
_VERSION_CHARACTERS = 16
# Ends the name of an entity's history of lifecycle events; no entity's name has a dot.
OF_EVENTS = ".events"
_HALF = RATE_SCALE // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One named number of the model's vector."""

    name: str
    entity: str
    statistic: str
    window_ms: int | None
    delay_ms: int
    unit: str
    description: str
    reason_group: str
    includes_current: bool
    windowed: bool
    derive: str
    slots: tuple[int, ...]  # positions in Observation.values
    of: str = ""
    measure: str = ""
    scale: int = 1  # its stored numbers are so many times its value
    expression: str = ""
    filter: str = ""
    prior: tuple[float, float] = (0.0, 0.0)
    default: float | None = None
    amount_counts: tuple[int, ...] = ()  # positions; see amount_counts.py
    spoiled: bool = False  # missing where the second of them is less than the first
    bounds: Bounds = ANY  # of its value where it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityPlan:
    """What is kept for one kind of entity, and which slots are read from it.

    The slots of a plan are at `first_slot` and after in `Observation.values`;
    `read(transaction, amount)` gives each column's value, as `readings` say.
    """

    name: str
    fields: tuple[str, ...]
    columns: tuple[Column, ...]
    slots: tuple[Slot, ...]
    first_slot: int
    readings: tuple[str, ...]
    read: Read
    labelled: bool
    by_outcome: tuple[int, ...] = ()  # columns that wait for the decision
    of_events: bool = False  # of lifecycle events: payments look, and are not counted

    @property
    def tokens(self) -> Tokens:
        """What names the entity in a transaction; empty where it does not."""
        return tokens_of(self.fields)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Catalogue:
    """Compiled definitions; immutable, shared by every engine.

    Rates are no part of them: the `exchange` says which are in force.
    """

    name: str
    version: str
    names: tuple[str, ...]
    features: Mapping[str, Feature]
    plans: tuple[EntityPlan, ...]
    stored_count: int
    slot_features: tuple[tuple[str, ...], ...]  # feature names that read each slot
    retention_ms: int  # longest window and delay: older events are never read
    horizon_ms: int  # a longer silence starts an entity's history afresh
    events_max: int
    distinct_max: int
    currency: str
    exchange: RatesInForce = field(repr=False)
    definition: DefinitionFile = field(repr=False)

    @property
    def keyed(self) -> tuple[str, ...]:
        """The names of the caller's own that it reads: `attributes.<key>`.

        >>> default_catalogue().keyed
        ()
        """
        names = {field for plan in self.plans for field in plan.fields}
        for feature in self.features.values():
            names |= {feature.of, feature.measure}
            names |= names_of(feature.filter) | names_of(feature.expression)
        return tuple(sorted(filter(is_keyed, names)))

    @property
    def bounds(self) -> Mapping[str, Bounds]:
        """The bounds of each feature, by the name that rules give it."""
        return {f"features.{name}": f.bounds for name, f in self.features.items()}

    def slots_of(self, features: Iterable[str]) -> frozenset[Slot]:
        """The stored slots that these features are derived from."""
        slots = [slot for plan in self.plans for slot in plan.slots]
        places = (self.features[name].slots for name in features)
        return frozenset(slots[i] for own in places for i in own)

    def amount(self, transaction: Transaction) -> int | None:
        """The amount in minor units of the reference currency, half rounded up.

        None where it is missing, or its currency has no rate on the payment's day:
        never a guess.
        """
        dated = self.exchange.rates.by_currency.get(transaction.currency)
        minor, at_ms = transaction.amount_minor, transaction.occurred_at_ms
        if dated is None or minor is None:
            return None
        rate = dated.newest if at_ms >= dated.newest_ms else dated.at(at_ms)
        if rate == RATE_SCALE:
            return minor
        return None if rate is None else (minor * rate + _HALF) // RATE_SCALE

    def converting_by(self, rates: Rates) -> Catalogue:
        """The same definitions with an exchange of their own.

        >>> catalogue = default_catalogue()
        >>> catalogue.converting_by(no_rates("EUR")).version == catalogue.version
        True
        """
        return replace(self, exchange=RatesInForce(rates))


def load_catalogue(text: str, *, name: str) -> Catalogue:
    """Compile a definition file; raises `BadArtifact` with line, field and remedy.

    It converts nothing yet: `converting_by` gives it rates.
    """
    file = document.load(text, DefinitionFile, name=name)

    def refuse(index: int, where: str, problem: str) -> BadArtifact:
        line = document.line_of(text, ("features", index, where))
        return BadArtifact(f"{name}:{line}: features.{index}.{where}: {problem}")

    return _compile(file, refuse)


def load_default(name: str) -> Catalogue:
    """A catalogue shipped with the service: "features", "features-pos", "handbook"."""
    file = f"{name}.yaml"
    text = resources.files("scoring.defaults").joinpath(file).read_text("utf-8")
    catalogue = load_catalogue(text, name=f"scoring/defaults/{file}")
    return catalogue.converting_by(shipped_rates())


@cache
def default_catalogue() -> Catalogue:
    """The shipped catalogue for card payments."""
    return load_default("features")


@cache
def handbook_catalogue() -> Catalogue:
    """The Handbook's 15 features and more of the payers' past."""
    return load_default("handbook")


_Refuse = Callable[[int, str, str], BadArtifact]
_Expanded = tuple[str, Definition, int]  # name, definition, window


def _compile(file: DefinitionFile, refuse: _Refuse) -> Catalogue:
    expanded = _expand(file, refuse)
    slots = _slots(file, expanded)
    positions = {slot: i for i, slot in enumerate(slots)}
    features = {n: _feature(n, d, w, positions) for n, d, w in expanded}
    readers: list[tuple[str, ...]] = [
        tuple(f.name for f in features.values() if i in f.slots + f.amount_counts)
        for i in range(len(slots))
    ]
    longest = max((s.window_ms + s.delay_ms for s in slots), default=0)
    seen = max((f.window_ms or 0 for f in features.values()), default=0)
    return Catalogue(
        name=file.name,
        version=_version(file, expanded, slots),
        names=tuple(features),
        features=features,
        plans=_plans(file, slots),
        stored_count=len(slots),
        slot_features=tuple(readers),
        retention_ms=max(longest, seen, span_ms("1d")),
        horizon_ms=max(longest, seen, span_ms(file.horizon)),
        events_max=file.limits.events_max,
        distinct_max=file.limits.distinct_max,
        currency=file.currency.reference,
        exchange=RatesInForce(no_rates(file.currency.reference)),
        definition=file,
    )


def _expand(file: DefinitionFile, refuse: _Refuse) -> list[_Expanded]:
    expanded: list[_Expanded] = []
    taken: set[str] = set()
    for index, definition in enumerate(file.features):
        plain = definition.statistic == "value"
        if plain != (definition.entity == "transaction"):
            right = "transaction" if plain else f"one of {', '.join(file.entities)}"
            raise refuse(index, "entity", f"must be {right}")
        if not plain and definition.entity not in file.entities:
            known = ", ".join(file.entities)
            raise refuse(index, "entity", f"unknown entity; known: {known}")
        for window in definition.windows or ("",):
            name = definition.name.replace("{window}", window)
            if name in taken:
                raise refuse(index, "name", f"{name!r} is taken; rename one of the two")
            taken.add(name)
            expanded.append((name, definition, span_ms(window) if window else 0))
    return expanded


def _wanted(definition: Definition, window_ms: int) -> Wanted:
    return Wanted(
        entity=definition.entity + (OF_EVENTS if definition.of_events else ""),
        window_ms=window_ms,
        delay_ms=span_ms(definition.delay) if definition.delay else 0,
        filter=definition.filter,
        measure=definition.measured,
        of=definition.of,
        trim=definition.trim,
    )


def _slots(file: DefinitionFile, expanded: list[_Expanded]) -> tuple[Slot, ...]:
    """Each wanted slot once, entity by entity in the order of the file."""
    wanted: dict[Slot, None] = {}
    for _, definition, window_ms in expanded:
        statistic = STATISTICS[definition.statistic]
        own = _wanted(definition, window_ms)
        slots = (*statistic.slots(own), *amount_counts(own, statistic))
        wanted.update(dict.fromkeys(slots))
    order = list(file.entities)

    def place(slot: Slot) -> tuple[int, bool]:
        entity = slot.entity.removesuffix(OF_EVENTS)
        return order.index(entity), slot.entity != entity

    return tuple(sorted(wanted, key=place))


def _feature(
    name: str, definition: Definition, window_ms: int, positions: Mapping[Slot, int]
) -> Feature:
    statistic = STATISTICS[definition.statistic]
    wanted = _wanted(definition, window_ms)
    window = definition.windows and _window_words(window_ms)
    return Feature(
        name=name,
        entity=definition.entity,
        statistic=definition.statistic,
        window_ms=window_ms or None,
        delay_ms=wanted.delay_ms,
        unit=definition.unit or _unit(definition),
        description=definition.description.replace("{window}", window or ""),
        reason_group=definition.reason_group,
        includes_current=statistic.includes_current
        and not definition.of_events
        and OUTCOME not in names_of(definition.filter),
        windowed=statistic.windowed,
        derive=statistic.derive,
        slots=tuple(positions[slot] for slot in statistic.slots(wanted)),
        of=definition.of,
        # Of the payment itself: formulas over events ask nothing of it.
        measure="amount" if definition.of_events else definition.measure,
        scale=_scale(definition),
        expression=definition.expression,
        filter=definition.filter,
        prior=(definition.prior.frauds, definition.prior.transactions),
        default=definition.default,
        amount_counts=tuple(
            positions[slot] for slot in amount_counts(wanted, statistic)
        ),
        spoiled=statistic.spoiled,
        bounds=_bounds(definition),
    )


def _scale(definition: Definition) -> int:
    in_steps = STATISTICS[definition.statistic].unit == MONEY
    return STEPS if in_steps and is_keyed(definition.measure) else 1


def _unit(definition: Definition) -> str:
    unit = STATISTICS[definition.statistic].unit
    of_another = unit == MONEY and definition.measured not in ("amount", EVENT_AMOUNT)
    return definition.measure if of_another else unit


def _bounds(definition: Definition) -> Bounds:
    """Between which numbers a feature lies where it is known."""
    unit = STATISTICS[definition.statistic].unit
    bounds = BY_UNIT.get(unit, ANY)
    if is_keyed(definition.measure) and unit in {MONEY, "ratio"}:
        bounds = ANY  # it may be negative
    if definition.expression:
        bounds = bounds_of(definition.expression)
    if definition.prior.frauds > definition.prior.transactions:
        bounds = POSITIVE  # a share of more than all
    if definition.default is not None:
        whole = not definition.default % 1
        bounds = bounds.around(Bounds(definition.default, definition.default, whole))
    return bounds


def _window_words(window_ms: int) -> str:
    for words, unit_ms in (("days", 86_400_000), ("hours", 3_600_000)):
        if window_ms % unit_ms == 0:
            count = window_ms // unit_ms
            return f"{count} {words if count > 1 else words[:-1]}"
    return f"{window_ms // 60_000} min"


def _plans(file: DefinitionFile, slots: tuple[Slot, ...]) -> tuple[EntityPlan, ...]:
    plans = []
    for entity, fields in file.entities.items():
        for name in (entity, entity + OF_EVENTS):
            own = tuple(slot for slot in slots if slot.entity == name)
            if own:
                plans.append(_plan(name, fields, own, slots.index(own[0])))
    return tuple(plans)


def _plan(
    name: str, fields: tuple[str, ...], slots: tuple[Slot, ...], first: int
) -> EntityPlan:
    kept = {slot.column for slot in slots if slot.column is not None}
    of_events = name.endswith(OF_EVENTS)
    if of_events:
        kept.add(KNOWN)
    for column in tuple(kept):
        kept.update(needs(column))
    columns = tuple(sorted(kept))
    readings = tuple(map(reading, columns))
    return EntityPlan(
        name=name,
        fields=fields,
        columns=columns,
        slots=slots,
        first_slot=first,
        readings=readings,
        read=reader(*readings),
        labelled=any(slot.op.of_labels for slot in slots),
        by_outcome=tuple(i for i, c in enumerate(columns) if c.by_outcome),
        of_events=of_events,
    )


def _version(
    file: DefinitionFile, expanded: list[_Expanded], slots: tuple[Slot, ...]
) -> str:
    """A hash of everything that changes a number; wording is left out."""
    meaning = file.model_dump(mode="json", exclude={"features": True, "name": True})
    features = [
        (n, w, d.model_dump(mode="json", exclude={"description", "unit", "windows"}))
        for n, d, w in expanded
    ]
    text = json.dumps([LAYOUT, meaning, features, [str(s) for s in slots]])
    return sha256(text.encode()).hexdigest()[:_VERSION_CHARACTERS]
