"""The page of a decision: what is known of a payment, its links, and what if."""
