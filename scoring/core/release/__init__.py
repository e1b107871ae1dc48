"""What crosses from the control plane to the data plane: pure values."""
