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
CASES = gauge(
    "fraud_control_cases", Unit.TIMES,
    "Cases that are not closed: open, assigned; and which of both are overdue.",
    "Overdue above 0: people are behind; `scoring cases list --overdue`.",
    MetricLabel("case_state", ("open", "assigned", "overdue")),
)  # fmt: skip
CASE_OLDEST = gauge(
    "fraud_control_case_oldest_seconds", Unit.SECONDS,
    "How long ago the oldest case that is not closed was decided; 0: there is none.",
    "Beyond the time in which cases are due: people are behind.",
)  # fmt: skip
CASE_BEHIND = gauge(
    "fraud_control_case_behind_records", Unit.RECORDS,
    "Decisions that were not read yet for cases, in the copy that reads them.",
    "It rises: the copy that reads is slow; the log and /healthz say why.",
)  # fmt: skip
CASE_PASSED_OVER = gauge(
    "fraud_control_case_passed_over_records", Unit.RECORDS,
    "Records of which no case could be made since the start: unreadable, or deleted "
    "before they were read.",
    "Above 0: the log says which; something else writes to the topic, or its "
    "retention is too short.",
    MetricLabel("why", ("unreadable", "missed")),
)  # fmt: skip
CASE_LABELS = gauge(
    "fraud_control_case_waiting_labels_records", Unit.RECORDS,
    "Labels of closed cases that are not in their topic yet.",
    "Above 0 for seconds: the broker is at fault; the log says why.",
)  # fmt: skip
_LIST = MetricLabel("list", bounded_by="the managed lists")
LIST_ENTRIES = gauge(
    "fraud_control_list_entries", Unit.TIMES,
    "Entries of each managed list, with expired ones.",
    "It jumps: somebody imported a file; `scoring lists show NAME` says who.",
    _LIST,
)  # fmt: skip
LIST_CHANGED = gauge(
    "fraud_control_list_changed_seconds", Unit.SECONDS,
    "How long ago each managed list was changed last.",
    "Beyond the time in which its feed should bring a file: the feed has ended.",
    _LIST,
)  # fmt: skip
LIST_IMPORTS = gauge(
    "fraud_control_list_imports", Unit.TIMES,
    "Imports that this copy reads or applies, and how many failed since its start.",
    "It failed: `scoring lists imports NAME` and the answer to who began it say why.",
    MetricLabel("import_state", ("running", "failed")),
)  # fmt: skip
