"""The control plane's database, rules and texts, as the settings name them."""

from __future__ import annotations

from scoring.control.database.database import Database
from scoring.control.desks.model_desk import KeptModels, ModelDesk
from scoring.control.desks.policy_texts import PolicyTexts
from scoring.control.domain.cases import CaseRules
from scoring.control.domain.control_rules import ControlRules
from scoring.models.registry import ModelRegistry
from scoring.models.remote_registry import RemoteModelRegistry
from scoring.settings import Settings
from scoring.wiring.definitions import catalogue_from, reasons_text
from scoring.wiring.services import now_ms


def database_from(settings: Settings, url: str = "") -> Database:
    """The database, with its tables; raises `BadArtifact` and `DatabaseUnavailable`.

    `url` replaces the settings'. By default a file in the state directory.
    """
    named = url or settings.control_database_url.get_secret_value()
    if not named:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        named = f"sqlite:///{settings.state_dir.resolve() / 'control.db'}"
    return Database(named).migrated()


def control_rules_from(settings: Settings) -> ControlRules:
    """How strict the control plane is."""
    return ControlRules(
        single_user=settings.control_single_user,
        approval_days=settings.control_approval_days,
        gate_points=settings.control_gate_points,
        gate_days=settings.control_gate_days,
        gate_payments=settings.control_gate_payments,
    )


def case_rules_from(settings: Settings) -> CaseRules:
    """How long cases take, and are kept."""
    return CaseRules(
        lease_min=settings.case_lease_min,
        due_h=settings.case_due_h,
        kept_days=settings.case_kept_days,
    )


def policy_texts_from(settings: Settings) -> PolicyTexts:
    """What checks policy texts; raises `BadArtifact`."""
    return PolicyTexts(catalogue_from(settings), reasons_text(settings))


def model_desk_from(settings: Settings, database: Database) -> ModelDesk:
    """The desk of models, at the registry that the services take theirs from."""

    def registry() -> KeptModels:
        return _registry_from(settings)

    def prove(version: str) -> None:
        from scoring.models.onnx_model import load_model
        from scoring.models.signature import Trust

        trusted = settings.model_trust_file
        load_model(
            _registry_from(settings).path(version),
            catalogue=catalogue_from(settings),
            trust=Trust.from_file(trusted) if trusted else None,
        )

    rules = control_rules_from(settings)
    return ModelDesk(
        database=database, now_ms=now_ms, rules=rules, registry=registry, prove=prove
    )


def _registry_from(settings: Settings) -> ModelRegistry | RemoteModelRegistry:
    if settings.model_url:
        return RemoteModelRegistry.at(settings.model_url, settings.model_dir)
    return ModelRegistry(settings.model_dir)
