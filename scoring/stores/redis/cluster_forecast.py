"""Forecasts in a cluster, where each entity's part is on a server of its own."""

from __future__ import annotations

from typing import Any

from scoring.core.transaction.transaction import Transaction
from scoring.stores.redis.cluster_retries import left_s
from scoring.stores.redis.formats import TIME_SIZE
from scoring.stores.redis.script_args import Ask
from scoring.stores.redis.script_client import Calls


async def forecast_apart(
    calls: Calls,
    ask: Ask,
    asked: tuple[Transaction, int],
    *,
    most: int,
    ends: float,
) -> list[Any]:
    """The reply of one server that had all entities: instants, and values.

    `asked` is the payload as of an instant, and after which time, ms.
    Each entity is asked for the next instants of its own; where there are several,
    all are asked again for their values at the earliest instants of all.
    """
    as_of, after_ms = asked
    first = [calls.command(one.call(as_of, after_ms, most)) for one in ask.apart()]
    replies = await calls.ask(first, left_s(ends))
    if len(replies) == 1:
        return list(replies[0])
    instants = sorted({
        instants[i : i + TIME_SIZE] for instants, _ in replies
        for i in range(0, len(instants), TIME_SIZE)
    })[:most]  # fmt: skip
    if not instants:
        return [b"", b""]
    wanted = b"".join(instants)
    again = [calls.command(one.call(as_of, wanted, 0)) for one in ask.apart()]
    packs = [pack for _, pack in await calls.ask(again, left_s(ends))]
    widths = [len(pack) // len(instants) for pack in packs]
    values = [
        pack[i * width : (i + 1) * width]
        for i in range(len(instants))
        for pack, width in zip(packs, widths, strict=True)
    ]
    return [wanted, b"".join(values)]
