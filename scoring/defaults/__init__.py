"""The files that the service ships: definitions, policy, reasons, mappings."""
