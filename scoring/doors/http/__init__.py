"""The HTTP door: JSON to the neutral calls, and their answers as JSON."""
