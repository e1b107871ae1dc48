"""From evidence to a decision: rules, lists, thresholds, reasons."""
