"""Where history and decisions are kept."""
