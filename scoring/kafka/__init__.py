"""Kafka as doors and tools share it: clients, topics, records, the registry."""
