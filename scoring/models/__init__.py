"""Models at the edge: the runtime, where bundles are kept, how one is swapped."""
