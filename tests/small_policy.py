"""Policies that are small enough to be changed line by line."""

SMALL = """
version: 1
name: small
thresholds:
  default: {challenge: 0.1, review: 0.2, decline: 0.5}
default: {outcome: review, reason_code: NOT_SCORED}
reasons:
  NOT_SCORED: The payment could not be scored.
  NO_RISK_FOUND: Nothing unusual was found.
  BLOCKED: The card is on the block list.
  TRUSTED: The customer is on the allow list.
  TOO_LARGE: The amount is beyond the limit.
"""
# A rule that declines large amounts, a list, and the reason of who is let through.
LARGE = (
    SMALL
    + """  LET_THROUGH: The payment was let through to learn from it.
lists:
  blocked: {field: card, then: decline, reason_code: BLOCKED, entries: [{token: c9}]}
rules:
  - id: large
    when: transaction.amount_minor > 1000
    then: decline
    reason_code: TOO_LARGE
"""
)
# Ends with its rules, which are a test's own: `busy("features.x > 3.0")`.
_BUSY = """
version: 1
name: busy
thresholds: {default: {challenge: 0.9, review: 0.95, decline: 0.99}}
default: {outcome: review, reason_code: NOT_SCORED}
reasons:
  NOT_SCORED: The payment could not be scored.
  NO_RISK_FOUND: Nothing unusual was found.
  AMOUNT: The amount is unusual.
  BUSY: Too much is happening at once.
approved: NO_RISK_FOUND
rules:
"""


def busy(**rules: str) -> str:
    """A policy that declines what holds, by the rules' names."""
    return _BUSY + "".join(
        f"  - {{id: {id_}, when: {when}, then: decline, reason_code: BUSY}}\n"
        for id_, when in rules.items()
    )
