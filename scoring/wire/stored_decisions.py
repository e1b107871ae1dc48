"""What the store keeps beside a decision: the payment, for labels that name its id.

    decision | field 3: the payment | field 15: the length of both fields, 4 bytes

Another release reads the whole as one Decision: field 3 is its transaction, and field
15 is reserved. A decision alone ends in a varint or in text, never in the mark.
"""

from __future__ import annotations

from struct import Struct

from google.protobuf.message import DecodeError

from scoring.core.transaction.transaction import FIELDS, Transaction
from scoring.errors import InvalidTransaction
from scoring.v1 import transaction_pb2
from scoring.wire.messages import field_to_bytes
from scoring.wire.transactions import accepted_from_proto, writer

_END = Struct("<BI")  # the tag of field 15, four bytes; the mark and the length
_TAG = 15 << 3 | 5
_MARK = 0xF1 << 24
_LENGTH = 0xFF_FFFF


def recorded_to_bytes(decision: bytes, transaction: Transaction | None) -> bytes:
    """A decision with its payment, as it is recorded."""
    if transaction is None:
        return decision
    payment = field_to_bytes(
        3, _payment_to_proto(transaction).SerializeToString(deterministic=True)
    )
    length = len(payment) + _END.size
    return b"".join((decision, payment, _END.pack(_TAG, _MARK | length)))


def decision_of(recorded: bytes) -> bytes:
    """The decision alone, byte for byte as it was made.

    >>> t = Transaction("default", "t1", occurred_at_ms=1_000, currency="EUR")
    >>> decision_of(recorded_to_bytes(b"decision", t))
    b'decision'
    >>> decision_of(b"of an earlier release")
    b'of an earlier release'
    """
    return recorded[: _place(recorded)]


def payment_of(recorded: bytes, *, tenant: str, id_: str) -> Transaction | None:
    """The payment of a recorded decision; None where none is kept that we can read.

    An earlier release kept all of it but its attributes.

    >>> t = Transaction("default", "t1", occurred_at_ms=1_000, currency="EUR")
    >>> payment_of(recorded_to_bytes(b"", t), tenant="default", id_="t1") == t
    True
    """
    at = _place(recorded)
    if at == len(recorded):
        return None
    # Length and tag of field 3 are as long as the length says.
    body = recorded[at + 1 : -_END.size]
    start = next(i for i, byte in enumerate(body, 1) if byte < 0x80)  # noqa: PLR2004
    try:
        message = transaction_pb2.Transaction.FromString(body[start:])
        message.tenant, message.id = tenant, id_
        return accepted_from_proto(message)
    except (DecodeError, InvalidTransaction):  # a later release's
        return None


def _place(recorded: bytes) -> int:
    """Where the decision ends."""
    if len(recorded) < _END.size:
        return len(recorded)
    tag: int
    told: int
    tag, told = _END.unpack_from(recorded, len(recorded) - _END.size)
    if tag != _TAG or told & ~_LENGTH != _MARK:
        return len(recorded)
    return len(recorded) - (told & _LENGTH)


# Tenant and id are in the key.
_APART = frozenset({"tenant", "id"})
_payment_to_proto = writer(
    [field for field in FIELDS if field.name not in _APART],
    transaction_pb2.Transaction,
)
