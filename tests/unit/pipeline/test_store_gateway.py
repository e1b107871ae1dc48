"""The way to the store: what is asked while the circuit is open, and what opens it."""

import time
from dataclasses import replace

import pytest
from contract_parts import PAID

from scoring.errors import StoreUnavailable
from scoring.pipeline.circuit_breaker import Exchange, State
from scoring.pipeline.stage_timer import Stopwatch
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.patience import StorePatience
from scoring.telemetry.prometheus import SilentTelemetry

KEY = (PAID.tenant, PAID.id)
UNAVAILABLE = StoreUnavailable("planted")


class Unavailable:
    """A store that never answers, and notes what it was asked."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        async def call(*_args, **_kwargs):
            self.asked.append(name)
            raise UNAVAILABLE

        return call


@pytest.fixture
def gateway():
    return StoreGateway(Unavailable(), SilentTelemetry(), time.monotonic)


async def told_more(gateway):
    """What a decision does without."""
    forecast = await gateway.forecast(PAID, ["any"], instants_max=1, timeout_s=1.0)
    return forecast, await gateway.payments([KEY])


async def test_what_a_decision_does_without_fails_in_silence_and_opens_nothing(gateway):
    assert await told_more(gateway) == (None, [None])
    assert gateway.store.asked == ["forecast", "payments"]
    assert gateway.circuit.state is State.CLOSED


async def test_while_the_circuit_is_open_only_a_probe_asks(gateway):
    gateway.circuit.failed(Exchange.OBSERVE, UNAVAILABLE)
    assert await told_more(gateway) == (None, [None])
    waits = replace(gateway, patience=StorePatience.WAIT)
    waits.circuit = gateway.circuit
    with pytest.raises(StoreUnavailable):
        await waits.observe([PAID], Stopwatch(time.monotonic, None))
    assert gateway.store.asked == []
    await gateway.probe(lambda: None)
    assert gateway.store.asked == ["ping"]
    assert not gateway.circuit.asks


async def test_a_store_that_is_unavailable_at_the_start_opens_the_circuit(gateway):
    await gateway.contact()
    assert gateway.circuit.state is State.OPEN
