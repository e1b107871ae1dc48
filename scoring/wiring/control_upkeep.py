"""What the control plane does by itself, at intervals, until it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from scoring.control.api.plane import Plane
from scoring.control.database.database import Database
from scoring.control.database.relaying import RelayedOutbox
from scoring.control.database.unit_of_work import reading
from scoring.control.desks.releasing import unknown_release
from scoring.control.desks.trip_desk import TripDesk
from scoring.control.relay import Relay
from scoring.control.replicas import Newest
from scoring.errors import DatabaseUnavailable
from scoring.telemetry.control_metrics import ControlMetrics
from scoring.wiring.services import now_ms

_LOOK_S = 1.0
_PRUNE_S = 60.0
_MS_PER_S = 1_000
_KEPT_MS = 7 * 86_400_000


async def looking(plane: Plane, relay: Relay | None, metrics: ControlMetrics) -> None:
    """Look every second which release is newest, and what replicas report."""
    replicas, outbox = plane.replicas, RelayedOutbox(plane.database)
    trips = TripDesk(plane.database, now_ms)
    while True:
        with suppress(DatabaseUnavailable):
            replicas.newest = await asyncio.to_thread(_newest, plane.database)
            waiting = await asyncio.to_thread(outbox.waiting)
            relays = relay is not None and relay.relays
            counted = replicas.counted()
            metrics.looked(waiting=waiting, relays=relays, replicas=counted)
            await asyncio.to_thread(trips.record, replicas.trips)
            await asyncio.to_thread(look_at_lists, plane, metrics)
        replicas.watch()
        await asyncio.sleep(_LOOK_S)


async def pruning(database: Database, relay: Relay) -> None:
    """Delete from the outbox what was published a week ago, where this copy relays."""
    outbox = RelayedOutbox(database)
    while True:
        with suppress(DatabaseUnavailable):
            old = partial(outbox.prune, published_before_ms=now_ms() - _KEPT_MS)
            while relay.relays:
                if not await asyncio.to_thread(old):
                    break
        await asyncio.sleep(_PRUNE_S)


def look_at_lists(plane: Plane, metrics: ControlMetrics) -> None:
    """Show how large each list is, how old its last change, and what imports do."""
    with reading(plane.database) as work:
        lists, changed_ms = work.lists.all(), work.lists.changed_ms()
    at_ms, jobs = now_ms(), plane.jobs
    ages_s = {
        each.name: max(0, at_ms - changed_ms.get(each.name, each.created_at_ms))
        / _MS_PER_S
        for each in lists
    }
    metrics.lists(
        {each.name: each.count for each in lists},
        ages_s,
        imports={"running": jobs.running, "failed": jobs.failed},
    )


def _newest(database: Database) -> Newest:
    with reading(database) as work:
        kept, unknown = work.policies.in_force(), unknown_release(work)
    if kept is None:
        return Newest(unknown=unknown)
    return Newest(kept.number, kept.at_ms, unknown)
