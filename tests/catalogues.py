"""Feature definitions for tests."""

from pathlib import Path

from scoring.core.features.catalogue import load_catalogue

_OTHERS = Path(__file__).with_name("parity") / "others.yaml"
# What neither of the shipped catalogues counts.
OTHERS = {"others": load_catalogue(_OTHERS.read_text(), name=_OTHERS.name)}
