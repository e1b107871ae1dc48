"""The control plane: what waits to be released, and who follows."""

from __future__ import annotations

from scoring.ports.metrics.metric import MetricLabel, Unit, counter, gauge

WAITING = gauge(
    "fraud_control_waiting_records", Unit.RECORDS,
    "Released records that are not in the topic yet.",
    "Above 0 for seconds: the relay or the broker is at fault; the log says which.",
)  # fmt: skip
RELAYS = gauge(
    "fraud_control_relay_available", Unit.FLAG,
    "1 in the copy of the control plane that relays releases.",
    "Over all copies it is 1; 0 for long: no copy has the lease, see their logs.",
)  # fmt: skip
REPLICAS = gauge(
    "fraud_control_replicas", Unit.REPLICAS,
    "Processes that decide, by how they follow releases.",
    "Alarm on lagging, refusing, silent and ahead.",
    MetricLabel("standing", bounded_by="the standings of a replica"),
)  # fmt: skip
REQUESTS = counter(
    "fraud_control_requests", Unit.TIMES,
    "Requests to the control plane, by the status of the answer.",
    "5xx: see its log.", MetricLabel("status", bounded_by="HTTP's statuses"),
)  # fmt: skip
