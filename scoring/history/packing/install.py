"""Installs packed state, after the store's own program has made the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from scoring.history.packing.packer import Packer
from scoring.history.topic_archiver import Progress
from scoring.stores.redis.bulk_load import RedisHistory

T = TypeVar("T")
REPLAYED_PER_EXCHANGE = 500
INSTALLED_PER_EXCHANGE = 1_000


async def proved(packer: Packer, store: RedisHistory) -> bool:
    """Whether what is packed of a sample equals what the program makes of it.

    The sample is replayed in a namespace of its own, which is cleared.
    """
    sample = packer.sample()
    async with store.aside("proof") as scratch:
        for chunk in chunks(iter(packer.history_of(sample)), REPLAYED_PER_EXCHANGE):
            await scratch.replay([(one.check, one.outcome) for one in chunk])
        for entity, where in sample:
            packed = packer.packed(entity, where, layout=scratch.layout)
            items = [item for one in packed for item in one.items]
            made = await scratch.values([key for key, _, _ in items])
            if made != [value for _, value, _ in items]:
                return False
    return True


async def installed(packer: Packer, store: RedisHistory, progress: Progress) -> str:
    """Install every entity; returns the condition of what is left to be replayed."""
    groups = list(packer.groups())
    left: list[str] = []
    for i, (entity, where) in enumerate(groups, 1):
        packed = packer.packed(entity, where)
        items = (item for one in packed for item in one.items)
        for chunk in chunks(items, INSTALLED_PER_EXCHANGE):
            await store.install(chunk)
        if busy := [one.tokens for one in packed if not one.items]:
            left.append(packer.put_aside(entity, busy, f"busy_{i}"))
        progress("state", i, len(groups))
    return " OR ".join(left) or "false"


def chunks(rows: Iterator[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size`.

    >>> list(chunks(iter("abc"), 2))
    [['a', 'b'], ['c']]
    """
    while chunk := list(islice(rows, size)):
        yield chunk
