"""The only place that builds the parts and wires them."""
