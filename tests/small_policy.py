"""A policy that is small enough to be changed line by line."""

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
