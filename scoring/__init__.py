"""Real-time fraud decisions for payments."""
