"""Rules: CEL text, checked by Google's compiler and run as one Python function."""
