"""Some ten rules as a fraud team would write them for the Handbook's world."""

RULES = """
  - id: large_amount
    when: features.amount > 22000.0
    then: decline
    reason_code: TOO_LARGE
  - id: terminal_compromised
    when: features.terminal_fraud_rate_7d > 0.3 && features.terminal_count_7d >= 5.0
    then: decline
    reason_code: TERMINAL
  - id: terminal_burst
    when: features.terminal_count_1h > 3.0
    then: decline
    reason_code: TERMINAL
  - id: terminal_watched
    when: features.terminal_fraud_rate_30d > 0.1
    then: review
    reason_code: TERMINAL
  - id: unusual_for_customer
    when: features.customer_zscore > 4.0 && features.amount > 10000.0
    then: decline
    reason_code: UNUSUAL
  - id: many_times_the_usual
    when: features.customer_ratio > 5.0
    then: decline
    reason_code: UNUSUAL
  - id: card_busy_hour
    when: features.card_count_1h >= 3.0
    then: decline
    reason_code: BUSY
  - id: card_busy_day
    when: features.card_sum_1d > 60000.0
    then: decline
    reason_code: BUSY
  - id: night_large
    when: features.is_night == 1.0 && features.amount > 15000.0
    then: decline
    reason_code: TOO_LARGE
  - id: score_and_terminal
    when: score > 0.2 && features.terminal_fraud_rate_7d > 0.0
    then: decline
    reason_code: TERMINAL
  - id: new_card_large
    when: features.card_age < 86400.0 && features.amount > 12000.0
    then: decline
    reason_code: UNUSUAL
"""
PLANTED = """
  - id: planted
    when: features.amount > 0.0
    then: decline
    reason_code: TOO_LARGE
"""
REASONS = """
  TOO_LARGE: The amount is too large.
  TERMINAL: Too much of the terminal's business was fraud.
  UNUSUAL: The payment is unusual for the customer.
  BUSY: The card was used too often.
"""
