"""When the store is asked, and what the log says of it."""

import asyncio
import logging
from collections import Counter

import pytest

from scoring.errors import HistoryLost, StoreUnavailable
from scoring.pipeline.circuit_breaker import Circuit, Exchange, State
from scoring.telemetry.prometheus import SilentTelemetry

REFUSED = StoreUnavailable("host:6379 refused: OOM")
LOST = HistoryLost("host:6379 has lost the history: run `scoring rebuild`")


class Counted(SilentTelemetry):
    """Counts named events."""

    def __init__(self):
        self.events = Counter()

    def count(self, event, n=1):
        self.events[event] += n


@pytest.fixture
def circuit(caplog):
    caplog.set_level(logging.WARNING)
    return Circuit(Counted(), on_open=lambda: None)


async def test_a_failure_that_probes_saw_is_over_when_one_is_answered(circuit, caplog):
    circuit.failed(Exchange.OBSERVE, REFUSED)
    circuit.probe_failed(REFUSED)
    assert not circuit.asks
    circuit.probe_answered(whole=True)
    assert circuit.state is State.CLOSED
    first, second = caplog.messages
    assert "host:6379 refused: OOM" in first
    assert second.startswith("store recovered")


async def test_one_that_they_did_not_see_is_over_when_its_kind_is_answered(circuit):
    circuit.failed(Exchange.RECORD, REFUSED)
    circuit.probe_answered(whole=True)
    assert circuit.state is State.HALF_OPEN
    assert circuit.asks
    circuit.succeeded(Exchange.OBSERVE)
    assert circuit.state is State.HALF_OPEN
    circuit.succeeded(Exchange.RECORD)
    assert circuit.state is State.CLOSED


async def test_trials_in_vain_are_silent_and_ever_further_apart(circuit, caplog):
    circuit.failed(Exchange.OBSERVE, REFUSED)
    pauses = []
    for _ in range(8):
        circuit.probe_answered(whole=True)
        circuit.failed(Exchange.OBSERVE, REFUSED)
        pauses.append(circuit.pause_s)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.1, 2.0)
    assert len(caplog.messages) == 1
    assert circuit.telemetry.events == {"store_unavailable": 1}


async def test_what_is_reconciled_proves_every_kind_of_exchange(circuit):
    circuit.failed(Exchange.RECORD, REFUSED)
    circuit.probe_answered(whole=True, proved=True)
    assert circuit.state is State.CLOSED


async def test_a_lost_history_is_told_once_with_what_to_do(circuit, caplog):
    circuit.failed(Exchange.OBSERVE, REFUSED)
    for _ in range(3):
        circuit.probe_failed(LOST)
    assert [m for m in caplog.messages if "run `scoring rebuild`" in m] == [
        f"history lost: {LOST}"
    ]
    assert circuit.telemetry.events["history_lost"] == 1


async def test_a_blink_is_ridden_out_and_a_long_outage_is_not(circuit):
    circuit.failed(Exchange.OBSERVE, REFUSED)
    asyncio.get_running_loop().call_later(
        0.02, lambda: circuit.probe_answered(whole=True)
    )
    assert await circuit.ridden_out(5.0)
    circuit.failed(Exchange.OBSERVE, REFUSED)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert not await circuit.ridden_out(5.0)
    assert loop.time() - began < 2.0
    assert not await circuit.ridden_out(5.0), "everybody knows by now"


async def test_a_guarded_exchange_is_not_tried_while_it_is_open(circuit):
    async def refused():
        raise REFUSED

    async def never():
        raise AssertionError("it is open")

    for exchange in (refused, never):
        with pytest.raises(StoreUnavailable, match="OOM"):
            await circuit.guarded(Exchange.OBSERVE, exchange)
