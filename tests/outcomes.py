"""Definitions that count approved and declined attempts apart, for tests."""

from rates_parts import rates_of

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import load_catalogue
from scoring.ports.records import Recording

OUTCOMES = load_catalogue(
    """\
name: outcomes
currency: {reference: EUR}
horizon: 30d
limits: {events_max: 64}
entities: {card: card, device: device, merchant: merchant}
features:
  - {name: 'card_count_{window}', entity: card, statistic: count, windows: [1h, 7d],
     reason_group: ANY, description: attempts}
  - {name: 'card_declined_{window}', entity: card, statistic: count,
     filter: "outcome == 'DECLINE'", windows: [1h, 7d],
     reason_group: ANY, description: declined attempts}
  - {name: 'card_approved_sum_{window}', entity: card, statistic: sum,
     filter: "outcome in ['APPROVE', 'CHALLENGE'] and amount > 200", windows: [1d],
     reason_group: ANY, description: large amounts that went through}
  - {name: 'card_approved_mean_{window}', entity: card, statistic: mean,
     filter: "outcome == 'APPROVE'", windows: [30d],
     reason_group: ANY, description: mean of what was approved}
  - {name: 'device_declined_{window}', entity: device, statistic: count,
     filter: "outcome != 'APPROVE'", windows: [1d],
     reason_group: ANY, description: refused from the device}
  - {name: 'merchant_max_{window}', entity: merchant, statistic: max, windows: [1d],
     reason_group: ANY, description: nothing to do with outcomes}
""",
    name="outcomes.yaml",
).converting_by(rates_of(JPY="0.006"))


def recorded(check, outcome=Outcome.DECLINE, decision=b"decision"):
    """The recording of a decided check."""
    t = check.transaction
    return Recording(
        tenant=t.tenant,
        transaction_id=t.id,
        payload_hash=check.payload_hash,
        decision=decision,
        transaction=t,
        outcome=outcome,
    )
