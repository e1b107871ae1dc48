"""What keeps a policy from doing harm: the breaker and the let-through sample."""
