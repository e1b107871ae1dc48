"""Callers of the fault drills: fixed connections, and what they were answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from load_tests.light_channel import LightChannel
from load_tests.traffic import Traffic
from scoring.v1.decision_pb2 import Decision, DecisionCore, DegradationCode, Rung
from scoring.v1.fraud_scoring_pb2 import (
    CheckTransactionRequest,
    CheckTransactionResponse,
    GetDecisionRequest,
    GetDecisionResponse,
)

_SERVICE = "/scoring.v1.FraudScoring/"
CONNECTIONS = 8
_RECONCILED_SAMPLE = 200
_PATIENCE_S = 30.0
_WARM_UPS = 2 * CONNECTIONS
_NOT_RECORDED = DegradationCode.DEGRADATION_CODE_NOT_RECORDED


@dataclass(slots=True)
class Callers:
    """Callers of one server, over fixed connections, and what they were answered."""

    address: str
    deadline_s: float
    traffic: Traffic
    degraded: Counter[str] = field(default_factory=Counter)
    degraded_at: list[float] = field(default_factory=list)
    full_at: list[float] = field(default_factory=list)
    missed_at: list[float] = field(default_factory=list)
    provisional: dict[str, Decision] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)  # ids
    retried: int = 0
    _channels: list[LightChannel] = field(default_factory=list)
    _prepared: deque[bytes] = field(default_factory=deque)

    def connect(self) -> None:
        """Make the connections; the first call of each opens it."""
        self._channels = [LightChannel(self.address) for _ in range(CONNECTIONS)]

    async def warm_up(self) -> None:
        """Use every connection: what connecting costs is not what is asked."""
        for index in range(_WARM_UPS):
            await self._check(self._next(), index, 10.0)
        self.degraded_at.clear()
        self.full_at.clear()
        self.degraded.clear()
        self.provisional.clear()

    def prepare(self, count: int) -> None:
        """Make requests ahead: making them costs what sending one does."""
        self._prepared.extend(self._made() for _ in range(count))

    def _next(self) -> bytes:
        return self._prepared.popleft() if self._prepared else self._made()

    def _made(self) -> bytes:
        request = CheckTransactionRequest(transaction=self.traffic.next())
        return request.SerializeToString()

    async def close(self) -> None:
        """Close them; a server that drains waits for those that are open."""
        for channel in self._channels:
            channel.close()
        await asyncio.sleep(0)  # the loop closes a socket on its next turn

    async def call(self, index: int) -> str:
        """One check; returns its status."""
        ends = time.perf_counter() + self.deadline_s
        raw = self._next()
        status = await self._check(raw, index, self.deadline_s)
        if status == "UNAVAILABLE" and (left_s := ends - time.perf_counter()) > 0:
            # The connection that died may have been the one that was retried on.
            self.retried += 1
            status = await self._check(raw, index + 1, left_s)
        if status != "OK":
            self.missed_at.append(time.perf_counter())
        return status

    async def _check(self, raw: bytes, index: int, timeout_s: float) -> str:
        channel = self._channels[index % CONNECTIONS]
        status, reply = await channel.unary(
            _SERVICE + "CheckTransaction", raw, timeout_s
        )
        if status == "OK":
            self._note(CheckTransactionResponse.FromString(reply).decision)
        return status

    def _note(self, decision: Decision) -> None:
        core = decision.core
        self.answered.add(core.transaction_id)
        if core.rung != Rung.RUNG_FULL or core.provisional:
            self.degraded_at.append(time.perf_counter())
            for degradation in core.degradations:
                self.degraded[DegradationCode.Name(degradation.code)] += 1
        else:
            self.full_at.append(time.perf_counter())
        if core.provisional and len(self.provisional) < _RECONCILED_SAMPLE:
            self.provisional[core.transaction_id] = decision

    async def full(self) -> bool:
        """Whether answers become full again, asked one by one."""
        gives_up_at = time.perf_counter() + _PATIENCE_S
        while time.perf_counter() < gives_up_at:
            before = len(self.degraded_at)
            status = await self._check(self._next(), 0, 5.0)
            if status == "OK" and len(self.degraded_at) == before:
                return True
            await asyncio.sleep(0.1)
        return False

    async def reconciled(self) -> int:
        """How many of the provisional answers kept here became the record."""
        gives_up_at = time.perf_counter() + _PATIENCE_S
        equal: set[str] = set()
        while len(equal) < len(self.provisional):
            for id_, given in self.provisional.items():
                request = GetDecisionRequest(transaction_id=id_)
                status, raw = await self._channels[0].unary(
                    _SERVICE + "GetDecision", request.SerializeToString(), 5.0
                )
                if status != "OK":
                    continue
                if _same(given.core, GetDecisionResponse.FromString(raw).decision.core):
                    equal.add(id_)
            if time.perf_counter() > gives_up_at:
                break
            await asyncio.sleep(0.2)
        return len(equal)


def _same(given: DecisionCore, stands: DecisionCore) -> bool:
    """Whether an answer became the record, or told the outcome of what stood there.

    The record is final, so it is not flagged as provisional. An answer that could not
    say whether it was recorded is flagged so; the record then holds the same decision
    without that flag.
    """
    if any(d.code == _NOT_RECORDED for d in given.degradations):
        return (given.outcome, given.score) == (stands.outcome, stands.score)
    final = DecisionCore()
    final.CopyFrom(given)
    final.provisional = False
    return final == stands
