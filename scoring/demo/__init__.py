"""The demo: simulated payments through both doors, watched and counted."""
