"""What is known about a payment: definitions, statistics, formulas, the vector."""
