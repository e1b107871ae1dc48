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
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.core.transaction.payment_terms import (
    AvsResult,
    CvvResult,
    Flag,
    Initiator,
    PaymentMethod,
    Rail,
    Sequence,
    ThreeDsStatus,
)
from scoring.core.transaction.transaction import Channel, EntryMode, Transaction
from scoring.errors import (
    CardNumberRefused,
    DeadlineExceeded,
    Denied,
    EventConflict,
    InvalidTransaction,
    LabelConflict,
    MessageTooLarge,
    NotExplainable,
    NotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    ScoringError,
    TooManyEvents,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    UnknownTransaction,
)
from scoring.v1.decision_pb2 import Decision

__all__ = [
    "AsyncClient",
    "AvsResult",
    "CallIds",
    "CardNumberRefused",
    "Channel",
    "Client",
    "CvvResult",
    "DeadlineExceeded",
    "Decision",
    "Denied",
    "EntryMode",
    "EventConflict",
    "Flag",
    "Initiator",
    "InvalidTransaction",
    "Label",
    "LabelConflict",
    "LabelSource",
    "LifecycleEvent",
    "LifecycleKind",
    "MessageTooLarge",
    "NotExplainable",
    "NotFound",
    "NotSupported",
    "Overloaded",
    "PaymentMethod",
    "Rail",
    "RateLimited",
    "ScoringError",
    "Security",
    "Sequence",
    "ThreeDsStatus",
    "TooManyEvents",
    "Transaction",
    "TransactionConflict",
    "Unauthenticated",
    "Unavailable",
    "UnknownTransaction",
    "Verdict",
]
