"""Feature definitions and policy, as the settings name them."""

from __future__ import annotations

from pathlib import Path

from scoring.core.features.catalogue import Catalogue, default_catalogue, load_catalogue
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.reasons import load_reasons
from scoring.core.policy.shipped_policy import default_policy
from scoring.errors import BadArtifact
from scoring.settings import Settings


def catalogue_from(settings: Settings) -> Catalogue:
    """The feature definitions; raises `BadArtifact`."""
    if settings.features_file is None:
        return default_catalogue()
    return load_catalogue(
        _text(settings.features_file), name=str(settings.features_file)
    )


def policy_from(settings: Settings, catalogue: Catalogue) -> Policy:
    """The policy, with its table of reasons; raises `BadArtifact`."""
    reasons = None
    if (path := settings.reasons_file) is not None:
        reasons = load_reasons(_text(path), catalogue=catalogue, name=str(path))
    if (path := settings.policy_file) is None:
        return default_policy(catalogue, reasons)
    return load_policy(
        _text(path), catalogue=catalogue, name=str(path), reasons=reasons
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise BadArtifact(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadArtifact(f"{path}: cannot be read: it is not UTF-8 text") from error
