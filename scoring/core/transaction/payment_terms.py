"""How a payment was made and what was found out about it, in closed sets.

The numbers are those of the protobuf enumerations; 0 is "not said" in all of them.
"""

from __future__ import annotations

from enum import IntEnum


class Flag(IntEnum):
    """Yes or no, where "not said" is neither."""

    UNSPECIFIED = 0
    YES = 1
    NO = 2


class PaymentMethod(IntEnum):
    """What the payer pays with; over which rail the money moves is another matter."""

    UNSPECIFIED = 0
    CARD = 1
    BANK_ACCOUNT = 2
    WALLET = 3
    PAY_LATER = 4
    VOUCHER = 5
    CRYPTO = 6


class Rail(IntEnum):
    """How the money moves."""

    UNSPECIFIED = 0
    CARD_NETWORK = 1
    CREDIT_TRANSFER = 2
    INSTANT_CREDIT_TRANSFER = 3
    DIRECT_DEBIT = 4
    HIGH_VALUE = 5
    INTERNAL = 6


class Initiator(IntEnum):
    """Who starts the payment: the customer (CIT) or the merchant (MIT)."""

    UNSPECIFIED = 0
    CUSTOMER = 1
    MERCHANT = 2


class Sequence(IntEnum):
    """Where the payment is among those of one agreement."""

    UNSPECIFIED = 0
    FIRST = 1
    SUBSEQUENT = 2
    ONE_OFF = 3


class AvsResult(IntEnum):
    """What the issuer's address verification found; NOT_CHECKED is said, too."""

    UNSPECIFIED = 0
    FULL_MATCH = 1
    POSTAL_CODE_MATCH = 2
    ADDRESS_MATCH = 3
    NO_MATCH = 4
    NOT_CHECKED = 5


class CvvResult(IntEnum):
    """What the issuer found of the card verification value."""

    UNSPECIFIED = 0
    MATCH = 1
    NO_MATCH = 2
    NOT_CHECKED = 3
    MISSING = 4


class ThreeDsStatus(IntEnum):
    """The status of EMV 3-D Secure: transStatus Y, N, U, A, C, D, R, I, S."""

    UNSPECIFIED = 0
    AUTHENTICATED = 1
    NOT_AUTHENTICATED = 2
    UNAVAILABLE = 3
    ATTEMPTED = 4
    CHALLENGE_REQUIRED = 5
    DECOUPLED_CHALLENGE = 6
    REJECTED = 7
    INFORMATIONAL = 8
    SPC_CHALLENGE = 9
