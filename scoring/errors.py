"""The errors of the service, one tree, translated once at each door.

Whatever refuses a call raises one of these; only a door knows its transport's word for
it. The client raises them again, each by its `code`, which all transports carry.

ScoringError
├── InvalidTransaction      the caller's fault       INVALID_ARGUMENT | dead letter
│   ├── CardNumberRefused   a card number in a field INVALID_ARGUMENT | dead letter
│   └── TooManyEvents       more than a payment keeps INVALID_ARGUMENT | dead letter
├── TransactionConflict     same id, other payload     ALREADY_EXISTS | dead letter
│   ├── LabelConflict       same version, other verdict  ALREADY_EXISTS | dead letter
│   └── EventConflict       same event id, other payload ALREADY_EXISTS | dead letter
├── UnknownTransaction      a follow-up of no known payment NOT_FOUND | dead letter
├── MessageTooLarge         beyond its method's limit  RESOURCE_EXHAUSTED
├── Unavailable             an outside system failed; a retry may help  UNAVAILABLE
│   ├── StoreUnavailable    becomes a Degradation inside the scorer
│   │   ├── StoreLate       the caller's time was over; the store may only be busy
│   │   ├── StoreRefused    it answered with an error
│   │   └── HistoryLost     the store answers and is empty: `scoring rebuild`
│   ├── ModelUnavailable    becomes a Degradation inside the scorer
│   ├── ModelRegistryUnavailable   a process keeps the model it has
│   ├── LogUnavailable      the stream stops and Kafka redelivers
│   ├── DatabaseUnavailable  the control plane's; nothing was changed
│   ├── Overloaded          more than fits into the time   RESOURCE_EXHAUSTED
│   ├── RateLimited         more than this caller may send RESOURCE_EXHAUSTED
│   └── DeadlineExceeded    no answer in time (a `TimeoutError`, too) DEADLINE_EXCEEDED
├── NotFound                nothing is recorded under this id         NOT_FOUND
├── NotExplainable          no score, or its model is not kept FAILED_PRECONDITION
├── NotSupported            not by this installation           UNIMPLEMENTED
├── Denied                  this caller may not do this        PERMISSION_DENIED
│   └── Unauthenticated     nor is it known who calls          UNAUTHENTICATED
├── NotPossible             not in this state of a policy, a list or a case
│   ├── ChangedMeanwhile    somebody else was first; it says what is different
│   └── ReasonRequired      the gate asks for a written reason
├── RecordRefused           the log will never take a record: it is set aside
├── RecordsRefused          the same, of some of those that were appended together
├── CorruptState            a stored value is not ours; becomes a Degradation
├── CannotListen            an address cannot be bound: the process does not start
└── BadArtifact             a file refused at load: the process does not start,
                            or keeps the one it has
"""

from __future__ import annotations

from collections.abc import Mapping


class ScoringError(Exception):
    """Anything this service raises on purpose.

    `field` is the path of what is wrong, "amount_minor"; empty where that is no field.
    `code` tells what a caller may do about it apart, through every door. `request_id`
    is the caller's name of the call, where a client raises it.
    """

    code: str = "failed-precondition"
    field: str = ""
    request_id: str = ""


class InvalidTransaction(ScoringError):
    """A transaction (or a follow-up of one) outside its limits.

    `field` is the path as the caller wrote it, "amount_minor". The message says
    what would be right and never repeats the value.
    """

    code = "invalid"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


class MessageTooLarge(ScoringError):
    """A message exceeds the limit of its method."""

    code = "too-large"

    def __init__(self, bytes_max: int) -> None:
        super().__init__(
            f"the message exceeds {bytes_max} bytes; send fewer or smaller items"
        )


class CardNumberRefused(InvalidTransaction):
    """A field holds a card number; send a token."""

    code = "card-number"

    def __init__(self, field: str) -> None:
        super().__init__(field, "holds a card number; send a token instead")


class TooManyEvents(InvalidTransaction):
    """A payment keeps no more lifecycle events."""

    code = "too-many-events"

    def __init__(self) -> None:
        super().__init__(
            "event_id",
            "its payment has as many events as one keeps; is it one payment?",
        )


class TransactionConflict(ScoringError):
    """The id is taken by another payload.

    `differing` names the fields in which the two differ; empty where not known.
    """

    code = "conflict"
    differing: tuple[str, ...] = ()

    def __init__(self, transaction_id: str, differing: tuple[str, ...] = ()) -> None:
        where = f", which differs in {', '.join(differing)}" if differing else ""
        super().__init__(
            f"id: {transaction_id!r} was already used for another payload{where}; a "
            "new payment needs a new id, a retry the fields of the first attempt"
        )
        self.field = "id"
        self.differing = differing


class LabelConflict(TransactionConflict):
    """A version of a label was already reported with another verdict."""

    code = "label-conflict"
    field = "verdict"

    def __init__(self, message: str = "") -> None:
        self.message = message or (
            "this version was already reported with another verdict; "
            "a reversal is a higher version"
        )
        ScoringError.__init__(self, f"{self.field}: {self.message}")


class EventConflict(TransactionConflict):
    """A lifecycle event's id was already reported with another payload."""

    code = "event-conflict"
    field = "event_id"

    def __init__(self, message: str = "") -> None:
        self.message = message or (
            "this event was already reported with other fields; what else happened is "
            "an event with an id of its own"
        )
        ScoringError.__init__(self, f"{self.field}: {self.message}")


class UnknownTransaction(ScoringError):
    """Nothing is known of the transaction that a label or an event names.

    `searched` says where it was looked for, beside the record.
    """

    code = "unknown-transaction"

    def __init__(self, searched: str = "") -> None:
        where = f" ({searched})" if searched else ""
        self.message = f"nothing is known of this transaction{where}; send it along"
        self.field = "transaction_id"
        super().__init__(f"{self.field}: {self.message}")


class Unavailable(ScoringError):
    """An outside system failed; a retry may help.

    `retry_after_ms` is when a retry is welcome; 0 where nobody says.
    """

    code = "unavailable"
    retry_after_ms: int = 0


class StoreUnavailable(Unavailable):
    """The store did not answer in time, or refused.

    `reason` is the label of the metric that says why.
    """

    reason = "unreachable"


class StoreLate(StoreUnavailable):
    """The time given was over, and the store was not silent for long: no outage."""

    reason = "late"


class StoreRefused(StoreUnavailable):
    """The store answered with an error: full, read-only, an unknown password."""

    reason = "refused"


class HistoryLost(StoreUnavailable):
    """The store answers, but has lost its history; nothing is read or counted there.

    The message says what to do.
    """

    reason = "history_lost"


class ModelUnavailable(Unavailable):
    """The model could not score."""


class ModelRegistryUnavailable(Unavailable):
    """The model registry does not answer; a process keeps the model it has."""


class LogUnavailable(Unavailable):
    """The log did not acknowledge."""


class DatabaseUnavailable(Unavailable):
    """The control plane's database does not answer; nothing was changed."""


class Overloaded(Unavailable):
    """More waits than can be decided in time; this was refused before any work."""

    code = "overloaded"

    def __init__(self, message: str = "", *, retry_after_ms: int) -> None:
        super().__init__(
            message or "overloaded; retry after the pushback, or on another connection"
        )
        self.retry_after_ms = retry_after_ms


class RateLimited(Unavailable):
    """A caller sends more than was agreed; `rate_per_s` on average."""

    code = "rate-limited"

    def __init__(self, rate_per_s: float, *, retry_after_ms: int) -> None:
        super().__init__(
            f"this caller's rate is {rate_per_s:g} a second; retry after the pushback"
        )
        self.retry_after_ms = retry_after_ms


class DeadlineExceeded(Unavailable, TimeoutError):
    """No answer came before the call's deadline; the transaction may be decided."""

    code = "deadline-exceeded"

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "no answer within the call's deadline and the service's own budget; a "
            "check needs at least 5 ms, a batch more"
        )


class NotFound(ScoringError):
    """Nothing is recorded under this id."""

    code = "not-found"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotExplainable(ScoringError):
    """A decision was made without a score, or by a model that is not kept any more."""

    code = "not-explainable"


class NotSupported(ScoringError):
    """This installation lacks what the call needs; the message says what to add."""

    code = "not-supported"


class Denied(ScoringError):
    """This caller may not do this."""

    code = "denied"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Unauthenticated(Denied):
    """Who calls is not known: no certificate or token, or one that is refused."""

    code = "unauthenticated"


class NotPossible(ScoringError):
    """What was asked for is not possible in this state; the message says what is."""

    code = "not-possible"


class ChangedMeanwhile(NotPossible):
    """Somebody else was first: `changes` says, line by line, what is different."""

    code = "changed-meanwhile"

    def __init__(self, message: str, changes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.changes = changes


class ReasonRequired(NotPossible):
    """Possible with a written reason only; `because` says why, one line a cause."""

    code = "reason-required"
    field = "why"

    def __init__(self, because: tuple[str, ...]) -> None:
        super().__init__(f"why: write a reason, because {'; and '.join(because)}")
        self.because = because


class RecordRefused(ScoringError):
    """The log will never take this record as it is: too large, or not valid."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(
            f"topic {topic} does not take the record: {reason}; see the topic's "
            "max.message.bytes and cleanup.policy"
        )
        self.topic = topic


class RecordsRefused(ScoringError):
    """Some of the records appended together will never be taken; the others are there.

    `refused` has the reason of each by its index.
    """

    def __init__(self, refused: Mapping[int, RecordRefused]) -> None:
        first = next(iter(refused.values()))
        super().__init__(f"{len(refused)} refused; the first: {first}")
        self.refused = refused


class CorruptState(ScoringError):
    """A value under one of our keys was not written by us, or is damaged."""


class CannotListen(ScoringError):
    """An address cannot be bound."""


class BadArtifact(ScoringError):
    """A model, policy or definition file was refused.

    The message carries file, line (where there is one), field and remedy.
    """
