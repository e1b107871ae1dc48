"""What is counted, and the port that shows it."""
