"""Feature definitions and policy, as the settings name them."""

from __future__ import annotations

from pathlib import Path

from scoring.core.features.catalogue import Catalogue, default_catalogue, load_catalogue
from scoring.core.features.rates import Rates, no_rates
from scoring.core.features.rates_file import load_rates, shipped_rates
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.reasons import load_reasons
from scoring.core.policy.shipped_policy import default_policy, shipped_text
from scoring.core.release.policy_release import PolicyText
from scoring.errors import BadArtifact
from scoring.settings import Settings


def catalogue_from(settings: Settings) -> Catalogue:
    """The feature definitions, with the rates to convert by; raises `BadArtifact`."""
    if (path := settings.features_file) is None:
        catalogue = default_catalogue()
    else:
        catalogue = load_catalogue(text_of(path), name=str(path))
    return catalogue.converting_by(rates_from(settings, catalogue.currency))


def rates_from(settings: Settings, reference: str) -> Rates:
    """The exchange rates to a reference currency; raises `BadArtifact`.

    Without a file, the shipped ones where they are to that currency, else none.
    """
    if (path := settings.rates_file) is not None:
        return load_rates(text_of(path), reference=reference, name=str(path))
    shipped = shipped_rates()
    return shipped if shipped.reference == reference else no_rates(reference)


def policy_from(settings: Settings, catalogue: Catalogue) -> Policy:
    """The policy, with its table of reasons; raises `BadArtifact`."""
    return policy_of(policy_text_from(settings), settings, catalogue)


def policy_of(text: PolicyText, settings: Settings, catalogue: Catalogue) -> Policy:
    """What `policy_text_from` read, compiled; raises `BadArtifact`."""
    reasons = None
    if text.reasons is not None:
        name = str(settings.reasons_file)
        reasons = load_reasons(text.reasons, catalogue=catalogue, name=name)
    if (path := settings.policy_file) is None:
        return default_policy(catalogue, reasons)
    return load_policy(text.text, catalogue=catalogue, name=str(path), reasons=reasons)


def policy_text_from(settings: Settings) -> PolicyText:
    """The files, its version not known yet; raises `BadArtifact`."""
    path = settings.policy_file
    text = shipped_text() if path is None else text_of(path)
    return PolicyText("", text, reasons_text(settings))


def reasons_text(settings: Settings) -> str | None:
    """The table of reasons that the settings name, as text; None: the shipped one."""
    return None if settings.reasons_file is None else text_of(settings.reasons_file)


def text_of(path: Path) -> str:
    """What a file of ours says; raises `BadArtifact` where it cannot be read."""
    try:
        return path.read_text()
    except OSError as error:
        raise BadArtifact(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadArtifact(f"{path}: cannot be read: it is not UTF-8 text") from error
