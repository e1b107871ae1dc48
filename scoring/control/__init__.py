"""The control plane: what the risk team decides, kept, approved and released."""
