"""What calls and answers look like, as the OpenAPI document shows them by message."""

from __future__ import annotations

from typing import Any

_ID = "order-4711-1"
_PAYMENT: dict[str, Any] = {
    "id": _ID,
    "paymentId": "order-4711",
    "attempt": 1,
    "occurredAt": "2026-03-01T12:00:00Z",
    "amountMinor": "12990",
    "currency": "EUR",
    "card": "tok_8f2c",
    "customer": "c-1001",
    "merchant": "shop-17",
    "device": "d-77",
    "channel": "CHANNEL_ECOMMERCE",
    "merchantCategory": "5732",
    "cardCountry": "DE",
    "merchantCountry": "DE",
    "ipCountry": "DE",
}
_CORE: dict[str, Any] = {
    "tenant": "default",
    "transactionId": _ID,
    "payloadHash": "w5SvKu35fXjr+p0r6eX81i2PLlaG2dqmaTnaN60SSRc=",
    "outcome": "OUTCOME_CHALLENGE",
    "score": 0.31,
    "margin": -0.75,
    "reasons": [
        {
            "code": "AMOUNT",
            "wording": "The amount added to the risk.",
            "source": "REASON_SOURCE_MODEL",
            "contribution": 1.25,
        }
    ],
    "rung": "RUNG_FULL",
    "versions": {
        "model": "6f1c0e2ab1d34c77",
        "policy": "94d0b0d2b8f5e1aa",
        "features": "4c0f0ed3beb7f141",
        "rates": "0a4e5c1f7d2b9e36",
    },
    "features": [129.9, "NaN"],
    "target": "COMPUTE_TARGET_ENSEMBLE",
    "secondLook": "SECOND_LOOK_NOT_NEEDED",
}
_DECISION: dict[str, Any] = {
    "core": _CORE,
    "trace": {
        "door": "DOOR_GRPC",
        "decidedAt": "2026-03-01T12:00:00.012Z",
        "stages": [{"stage": "observe", "durationUs": 812}],
        "batchSize": 1,
        "processedSeq": "4711",
        "attempt": 1,
    },
}
_REFUSED: dict[str, Any] = {
    "code": 3,
    "message": "currency: must be an active ISO 4217 currency code such as EUR",
    "field": "currency",
    "problem": "invalid",
}
_LABEL: dict[str, Any] = {
    "transactionId": _ID,
    "version": 1,
    "verdict": "VERDICT_FRAUD",
    "source": "LABEL_SOURCE_CHARGEBACK",
    "knownAt": "2026-03-20T09:30:00Z",
}
_EVENT: dict[str, Any] = {
    "transactionId": _ID,
    "eventId": "auth-1",
    "kind": "LIFECYCLE_KIND_ISSUER_DECLINED",
    "occurredAt": "2026-03-01T12:00:01Z",
    "issuerCode": "51",
}
# One of each message that a body may be.
EXAMPLES: dict[str, dict[str, Any]] = {
    "Transaction": _PAYMENT,
    "CheckTransactionResponse": {"decision": _DECISION},
    "BatchCheckTransactionsRequest": {
        "transactions": [_PAYMENT, _PAYMENT | {"id": "order-4712-1"}]
    },
    "BatchCheckTransactionsResponse": {
        "results": [
            {"transactionId": _ID, "decision": _DECISION},
            {"transactionId": "order-4712-1", "error": _REFUSED},
        ]
    },
    "ReportLabelsRequest": {"labels": [_LABEL]},
    "ReportLabelsResponse": {"results": [{"transactionId": _ID}]},
    "ReportEventsRequest": {"events": [_EVENT]},
    "ReportEventsResponse": {"results": [{"transactionId": _ID, "eventId": "auth-1"}]},
    "GetDecisionResponse": {
        "decision": _DECISION,
        "labels": [_LABEL | {"tenant": "default"}],
        "events": [_EVENT | {"tenant": "default", "knownAt": "2026-03-01T12:00:02Z"}],
    },
    "ExplainDecisionResponse": {
        "core": _CORE,
        "base": -2.0,
        "contributions": [
            {
                "feature": "amount",
                "value": 129.9,
                "contribution": 1.25,
                "reasonCode": "AMOUNT",
            }
        ],
    },
}
