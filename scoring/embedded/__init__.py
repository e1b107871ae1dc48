"""A real store and a real broker from wheels, for the demo and the tests."""
