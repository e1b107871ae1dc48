"""Keys of what is not an entity's: claims, decisions, the outbox, marks."""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache

from scoring.stores.redis.cluster import SLOTS

# In a cluster claims are in this many slots, spread evenly: few enough to look
# through each one's outbox, many enough that every server has its share.
PARTS = 256


class ClaimKeys:
    """Keys under one namespace; `parted` where a cluster keeps them.

    `<namespace>:d:<tenant>:<id>` holds a claim or decision;
    `<namespace>:v:<tenant>:<id>` the verdicts of its labels, and
    `<namespace>:f:<tenant>:<id>` its follow-ups: a hash of labels and events, of which
    `<namespace>:c:<tenant>:<id>` has those that are counted, by which definitions;
    `<namespace>:outbox` what is to be published; `<namespace>:processed` how many were
    processed: no number there means that the history is incomplete. In a cluster the
    first five name their part, `{<tag>}`, after the kind, so that a decision and its
    outbox share a slot;
    `<namespace>:processed:{<tag>}` marks that what the servers of that part know was
    not lost; and `newest` is the time of the newest transaction that was counted.
    """

    def __init__(self, namespace: str, *, parted: bool) -> None:
        self._leases = f"{namespace}:lease:"
        self._tags = [f":{{{tag}}}" for tag in _tags()] if parted else [""]
        self.processed = f"{namespace}:processed".encode()
        self.newest = f"{{{namespace}:processed}}:newest".encode()
        self._decisions = [f"{namespace}:d{tag}:" for tag in self._tags]
        self._verdicts = [f"{namespace}:v{tag}:" for tag in self._tags]
        self._follow_ups = [f"{namespace}:f{tag}:" for tag in self._tags]
        self._counted = [f"{namespace}:c{tag}:" for tag in self._tags]
        self.outboxes = [f"{namespace}:outbox{tag}".encode() for tag in self._tags]
        self.marks = [
            f"{namespace}:processed{tag}".encode() for tag in self._tags if parted
        ]

    def _part(self, tenant: str, id_: str) -> int:
        if len(self._tags) == 1:
            return 0
        return crc_hqx(f"{tenant}:{id_}".encode(), 0) % len(self._tags)

    def decision(self, tenant: str, id_: str) -> bytes:
        """Where the claim or the decision of a transaction is."""
        return f"{self._decisions[self._part(tenant, id_)]}{tenant}:{id_}".encode()

    def mark(self, tenant: str, id_: str) -> bytes:
        """What says, beside that decision, that the history was not lost."""
        return self.marks[self._part(tenant, id_)] if self.marks else self.processed

    def verdicts(self, tenant: str, id_: str) -> bytes:
        """Where the verdicts of a payment's labels are."""
        return f"{self._verdicts[self._part(tenant, id_)]}{tenant}:{id_}".encode()

    def follow_ups(self, tenant: str, id_: str) -> bytes:
        """Where what became known of a payment is."""
        part = self._follow_ups[self._part(tenant, id_)]
        return f"{part}{tenant}:{id_}".encode()

    def counted(self, tenant: str, id_: str) -> bytes:
        """Holds which definitions counted what happened to a payment."""
        return f"{self._counted[self._part(tenant, id_)]}{tenant}:{id_}".encode()

    def outbox(self, tenant: str, id_: str) -> bytes:
        """Where a decision waits to be published: beside itself."""
        return self.outboxes[self._part(tenant, id_)]

    def lease(self, name: str) -> bytes:
        """Holds which process does a task of all of them."""
        return f"{self._leases}{name}".encode()

    @property
    def numbering(self) -> set[bytes]:
        """What says that the history is there, and how far it goes."""
        return {self.processed, self.newest, *self.marks}

    @property
    def lasting(self) -> set[bytes]:
        """What a wipe of the history leaves."""
        return self.numbering.union(self.outboxes)


@cache
def _tags() -> tuple[str, ...]:
    """A tag of a slot in each part of the slots, in the order of the parts.

    >>> len(set(_tags())) == PARTS
    True
    """
    found: dict[int, str] = {}
    number = 0
    while len(found) < PARTS:
        tag = str(number)
        found.setdefault(crc_hqx(tag.encode(), 0) % SLOTS * PARTS // SLOTS, tag)
        number += 1
    return tuple(found[part] for part in sorted(found))
