"""The stream door: Kafka records to checks, decisions back to Kafka."""
