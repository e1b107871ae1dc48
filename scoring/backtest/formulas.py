"""What each figure of a report is: it stands beside the figures in every form."""

from __future__ import annotations

from collections.abc import Mapping

_WILSON = "95 % interval: Wilson (1927)"
_KNOWN = "old enough to be labelled, each let-through payment weighed by the inverse of"
FORMULAS: Mapping[str, str] = {
    "precision": (
        f"frauds / (frauds + legitimate payments) among the hits {_KNOWN} its "
        f"probability; {_WILSON}"
    ),
    "recall": (
        f"frauds among the hits / all frauds of the span, weighed alike; {_WILSON}"
    ),
    "approval_rate": f"payments approved / all eligible payments; {_WILSON}",
    "fraud_rate_by_count": (
        f"frauds / (frauds + legitimate payments) among the approved {_KNOWN} its "
        f"probability; {_WILSON}"
    ),
    "fraud_rate_by_value": (
        "the same by amount in the reference currency; it has no interval: a few large "
        "payments make it"
    ),
}
COST_FORMULAS: Mapping[str, str] = {
    "cost of refused customers": (
        "refused_customer of the cost file, of each legitimate payment that is declined"
    ),
    "cost of missed fraud": (
        "missed_fraud of the cost file, of each fraud that is approved"
    ),
    "fraud stopped": (
        "missed_fraud of the cost file, of each fraud among a rule's hits that is "
        "declined: what it would have cost"
    ),
    "cost of what is held": (
        "challenge and review of the cost file: their price, the fraud that passes "
        "them, and the customers that they lose"
    ),
}
