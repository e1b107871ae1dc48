"""The pure centre: no clock, no chance, no input or output."""
