"""What people do with models: propose one, approve it, take the champion back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import UnitOfWork, reading, writing
from scoring.control.domain import model_proposals
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.model_proposals import ModelProposal
from scoring.control.domain.people import By, Doing, Person, Right
from scoring.control.domain.wordings import checked_why
from scoring.core.model.bundle import Manifest
from scoring.core.model.promotion import History
from scoring.errors import ChangedMeanwhile, NotPossible

_BECAUSE = ("whoever comes next has to know what was wrong with the champion",)


class KeptModels(Protocol):
    """The registry that the services take their champion from.

    Blocks; raises `BadArtifact` and `ModelRegistryUnavailable`.
    """

    @property
    def place(self) -> str:
        """Where it is, for people."""
        ...

    def versions(self) -> list[Manifest]:
        """Manifests of all bundles; damaged ones left out."""
        ...

    def history(self) -> History:
        """Promoted versions, the champion last."""
        ...

    def promote(self, version: str) -> None:
        """Make a version the champion; twice is once."""
        ...

    def rollback(self) -> str:
        """Return to the champion before this one, and name it."""
        ...


@dataclass(frozen=True, slots=True)
class ToldModels:
    """What the registry holds, and who was promoted, the champion last."""

    place: str
    manifests: tuple[Manifest, ...]
    history: History

    @property
    def champion(self) -> str:
        """The one that decides; "" before the first promotion."""
        return self.history[-1] if self.history else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDesk:
    """Every action on models: each is one transaction, the registry's part in it.

    The registry's pointer is changed last within a transaction: where that fails,
    nothing was changed; where the commit fails after it, the same approval again
    changes nothing there and is recorded. `prove` loads a model as a service would.
    Raises `Denied`, `NotFound`, `NotPossible`, `ChangedMeanwhile`, and what the
    database and the registry raise.
    """

    database: Database
    now_ms: Callable[[], int]
    rules: ControlRules
    registry: Callable[[], KeptModels] | None = None
    prove: Callable[[str], None] | None = None

    def told(self, person: Person) -> ToldModels:
        """Every model that is kept, and which of them were promoted."""
        person.needs(Right.READ)
        registry = self._registry()
        manifests = tuple(registry.versions())
        return ToldModels(registry.place, manifests, registry.history())

    def proposals(
        self, person: Person, *, below: int | None, count_max: int
    ) -> Sequence[ModelProposal]:
        """Proposals, the newest first."""
        person.needs(Right.READ)
        with reading(self.database) as work:
            return work.model_proposals.newest(below=below, count_max=count_max)

    def propose(self, by: By, model: str) -> ModelProposal:
        """Propose a model as the champion; it is loaded and checked first."""
        by.person.needs(Right.WRITE_POLICY)
        registry = self._registry()
        if all(manifest.version != model for manifest in registry.versions()):
            raise NotPossible(f"{registry.place} holds no model {model}")
        self._proved(model)
        champion = _champion(registry)
        with writing(self.database) as work:
            doing = by.at(self.now_ms())
            number = work.model_proposals.next_number()
            proposal = model_proposals.proposed(number, model, champion, doing)
            work.model_proposals.add(proposal)
            _record(work, "model.propose", proposal, doing)
            return proposal

    def approve(self, by: By, number: int) -> ModelProposal:
        """Approve a proposal: its model decides within seconds."""
        by.person.needs(Right.APPROVE)
        registry = self._registry()
        with reading(self.database) as work:
            model = work.model_proposals.proposal(number).model
        self._proved(model)
        with writing(self.database) as work:
            doing = by.at(self.now_ms())
            proposal = model_proposals.promoted(
                work.model_proposals.proposal(number),
                _champion(registry),
                self.rules,
                doing,
            )
            work.model_proposals.save(proposal)
            _record(work, "model.promote", proposal, doing)
            registry.promote(proposal.model)
            return proposal

    def reject(self, by: By, number: int) -> ModelProposal:
        """Reject a proposal, or withdraw one's own."""
        with writing(self.database) as work:
            doing = by.at(self.now_ms())
            read = work.model_proposals.proposal(number)
            proposal = model_proposals.rejected(read, doing)
            work.model_proposals.save(proposal)
            _record(work, "model.reject", proposal, doing)
            return proposal

    def roll_back(self, by: By, champion: str) -> str:
        """Return to the champion before `champion`, which was read as the one now.

        To stop harm needs no second person; it names the one that decides again.
        """
        by.person.needs(Right.ROLL_BACK)
        why = checked_why(by.why, because=_BECAUSE)
        registry = self._registry()
        with writing(self.database) as work:
            history = registry.history()
            now = history[-1] if history else ""
            if now != champion:
                raise ChangedMeanwhile(
                    f"champion: {now or 'none'} decides now; read it again",
                    (f"-{champion}", f"+{now}"),
                )
            before = history[-2] if len(history) > 1 else ""
            change = Change(
                action="model.rollback",
                subject=f"model {champion}",
                before={"champion": champion},
                after={"champion": before},
            )
            work.audit.record(change, Doing(by.person, self.now_ms(), why))
            return registry.rollback()

    def _registry(self) -> KeptModels:
        if self.registry is None:
            raise NotPossible("ask a running control plane: this is none")
        return self.registry()

    def _proved(self, model: str) -> None:
        if self.prove is not None:
            self.prove(model)


def _champion(registry: KeptModels) -> str:
    history = registry.history()
    return history[-1] if history else ""


def _record(
    work: UnitOfWork, action: str, proposal: ModelProposal, doing: Doing
) -> None:
    after = {
        "proposal": proposal.number,
        "model": proposal.model,
        "instead_of": proposal.champion,
        "stage": proposal.stage.value,
    }
    subject = f"model {proposal.model}"
    work.audit.record(Change(action=action, subject=subject, after=after), doing)
