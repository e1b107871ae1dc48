"""An independent account: what was sent against what the topics hold.

It shares no code with the service, so that it cannot share its mistakes.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

_NOT_RECORDED = "DEGRADATION_CODE_NOT_RECORDED"


@dataclass(slots=True)
class DeliveryAudit:
    """Counts transactions, not records.

    `lost` were sent and neither decided nor dead-lettered, nor refused to the last
    with an error that their caller was told; `duplicated` are records of the decisions
    topic beyond one an id; `conflicting` are ids with differing cores, in the topic or
    between a reply and the topic. A reply that says it is provisional, and then another
    decision is recorded, is `superseded`: it said that this may be.
    """

    sent_ids: set[str] = field(default_factory=set)
    dead_ids: set[str] = field(default_factory=set)
    refused_ids: set[str] = field(default_factory=set)
    records_count: int = 0
    degraded_count: int = 0
    cores: dict[str, bytes] = field(default_factory=dict)
    replies: dict[str, bytes] = field(default_factory=dict)
    conflicting_ids: set[str] = field(default_factory=set)
    provisional: set[tuple[str, bytes]] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)

    def sent(self, transaction_id: str) -> None:
        """Note that a transaction went out; repeats count once."""
        self.sent_ids.add(transaction_id)

    def refused(self, transaction_id: str) -> None:
        """Note a transaction that its caller gave up, told why by an error."""
        self.refused_ids.add(transaction_id)

    def failed(self, transaction_id: str, why: str) -> None:
        """Note what the last attempt to send a transaction ended with."""
        self.failures[transaction_id] = why

    def replied(self, core: dict[str, Any]) -> None:
        """Note the core that a caller was given."""
        if core.get("provisional"):
            self.provisional.add((core["transactionId"], _digest(core)))
            return
        self._compare(core, mine=self.replies, other=self.cores)

    def decision(self, core: dict[str, Any]) -> None:
        """Note one record of the decisions topic.

        >>> audit = DeliveryAudit()
        >>> audit.sent("t1"); audit.sent("t2")
        >>> audit.decision({"transactionId": "t1", "outcome": "OUTCOME_APPROVE"})
        >>> audit.decision({"transactionId": "t1", "outcome": "OUTCOME_DECLINE"})
        >>> audit.lost, audit.duplicated, audit.conflicting
        (1, 1, 1)
        """
        self.records_count += 1
        if core["transactionId"] not in self.cores and core.get("degradations"):
            self.degraded_count += 1
        self._compare(core, mine=self.cores, other=self.replies)

    def dead_letter(self, transaction_id: str) -> None:
        """Note one record of the dead letters."""
        self.dead_ids.add(transaction_id)

    def _compare(
        self, core: dict[str, Any], *, mine: dict[str, bytes], other: dict[str, bytes]
    ) -> None:
        id_, digest = core["transactionId"], _digest(core)
        mine.setdefault(id_, digest)
        if mine[id_] != digest or other.get(id_, digest) != digest:
            self.conflicting_ids.add(id_)

    @property
    def decided(self) -> int:
        """Transactions with a decision in the topic."""
        return len(self.cores)

    @property
    def lost(self) -> int:
        """Transactions accepted, or perhaps accepted, of which no topic knows."""
        return len(self.lost_ids)

    @property
    def lost_ids(self) -> set[str]:
        """Their ids."""
        known = self.cores.keys() | self.dead_ids | self.refused_ids
        return self.sent_ids - known

    @property
    def refused_count(self) -> int:
        """Transactions refused to the last that no topic knows of either."""
        return len(self.refused_ids - self.cores.keys() - self.dead_ids)

    @property
    def in_flight(self) -> int:
        """About how many are on their way; cheap, where `lost` looks at every id."""
        known = len(self.cores) + len(self.dead_ids) + self.refused_count
        return len(self.sent_ids) - known

    @property
    def duplicated(self) -> int:
        """Records beyond the first of their transaction."""
        return self.records_count - len(self.cores)

    @property
    def conflicting(self) -> int:
        """Transactions with two different cores."""
        return len(self.conflicting_ids)

    @property
    def superseded(self) -> int:
        """Transactions whose caller had a provisional answer that did not last."""
        lasting = self.cores
        return len(
            {id_ for id_, own in self.provisional if lasting.get(id_, own) != own}
        )

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, duplicated or contradicted."""
        return not (self.lost or self.duplicated or self.conflicting)


def _digest(core: dict[str, Any]) -> bytes:
    return sha256(json.dumps(_final(core), sort_keys=True).encode()).digest()


def _final(core: dict[str, Any]) -> dict[str, Any]:
    """A core as it becomes the record: what a reply says of the moment is left out.

    >>> _final({"score": 0.1, "provisional": True, "degradations": [
    ...     {"code": "DEGRADATION_CODE_NOT_RECORDED"}]})
    {'score': 0.1}
    """
    lacking = [d for d in core.get("degradations", ()) if d["code"] != _NOT_RECORDED]
    rest = {k: v for k, v in core.items() if k not in ("provisional", "degradations")}
    return {**rest, "degradations": lacking} if lacking else rest


def dead_letter_id(value: bytes) -> str:
    """The id of a dead-lettered transaction, from the letter's JSON; "" when unread.

    >>> dead_letter_id(b'{"value": "eyJpZCI6ICJ0MSJ9"}')
    't1'
    """
    try:
        return str(json.loads(b64decode(json.loads(value)["value"]))["id"])
    except (ValueError, KeyError, TypeError):
        return ""
