"""Feature definitions for tests."""

from pathlib import Path

from scoring.core.features.catalogue import load_catalogue

_FOLDER = Path(__file__).with_name("parity")
# What neither of the shipped catalogues counts.
OTHERS = {
    name: load_catalogue((_FOLDER / f"{name}.yaml").read_text(), name=f"{name}.yaml")
    for name in ("others", "own")
}
