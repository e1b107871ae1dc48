"""A small typed client: deadlines, safe retries and errors by name.

>>> from scoring.client import Client, Transaction
>>> with Client("127.0.0.1:50051", timeout_s=0.1) as client:  # doctest: +SKIP
...     client.check(Transaction("default", "t1", ...)).core.outcome
"""

from scoring.client.asynchronous import AsyncClient
from scoring.client.call_ids import CallIds
from scoring.client.channel import Security
from scoring.client.synchronous import Client
from scoring.core.transaction.label import Label, LabelSource, Verdict
from scoring.core.transaction.transaction import Channel, EntryMode, Transaction
from scoring.errors import (
    CardNumberRefused,
    DeadlineExceeded,
    Denied,
    InvalidTransaction,
    LabelConflict,
    MessageTooLarge,
    NotExplainable,
    NotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    ScoringError,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    UnknownTransaction,
)
from scoring.v1.decision_pb2 import Decision

__all__ = [
    "AsyncClient",
    "CallIds",
    "CardNumberRefused",
    "Channel",
    "Client",
    "DeadlineExceeded",
    "Decision",
    "Denied",
    "EntryMode",
    "InvalidTransaction",
    "Label",
    "LabelConflict",
    "LabelSource",
    "MessageTooLarge",
    "NotExplainable",
    "NotFound",
    "NotSupported",
    "Overloaded",
    "RateLimited",
    "ScoringError",
    "Security",
    "Transaction",
    "TransactionConflict",
    "Unauthenticated",
    "Unavailable",
    "UnknownTransaction",
    "Verdict",
]
