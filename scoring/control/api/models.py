"""Models over HTTP: what the registry holds, proposals, and the way back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from scoring.control.api.backtests import NUMBER_MAX
from scoring.control.api.plane import Cursor, Limit, Visiting, cursor_at, place_of
from scoring.control.api.requests import StrictRoute
from scoring.control.api.views import Page, View
from scoring.control.api.wishes import WhyWish
from scoring.control.desks.model_desk import ToldModels
from scoring.control.domain.model_proposals import ModelProposal, ModelStage
from scoring.core.model.bundle import Manifest

router = APIRouter(prefix="/v1", tags=["models"], route_class=StrictRoute)
ModelHash = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
ProposalNumber = Annotated[int, Path(ge=1, le=NUMBER_MAX)]


class ModelView(View):
    """A model's bundle; `metrics` are of rows that it was not trained on."""

    version: str
    is_champion: bool
    features_version: str
    rows: int
    frauds: int
    trained_until_ms: int
    evaluated_until_ms: int
    metrics: dict[str, float | None]

    @classmethod
    def of(cls, manifest: Manifest, champion: str) -> ModelView:
        """By its manifest."""
        training = manifest.training
        return cls(
            version=manifest.version,
            is_champion=manifest.version == champion,
            features_version=manifest.features_version,
            rows=training.rows,
            frauds=training.frauds,
            trained_until_ms=training.until_ms,
            evaluated_until_ms=training.evaluated_until_ms,
            metrics=dict(manifest.metrics),
        )


class ModelsView(View):
    """What the registry at `place` holds; `history` names champions, now the last."""

    place: str
    champion: str
    history: list[str]
    items: list[ModelView]

    @classmethod
    def of(cls, told: ToldModels) -> ModelsView:
        """As the desk tells it."""
        return cls(
            place=told.place,
            champion=told.champion,
            history=list(told.history),
            items=[ModelView.of(each, told.champion) for each in told.manifests],
        )


class ModelProposalView(View):
    """A model proposed as the champion in place of another."""

    number: int
    model: str
    champion: str
    by: str
    at_ms: int
    why: str
    stage: ModelStage
    decided_by: str
    decided_at_ms: int | None
    reason: str

    @classmethod
    def of(cls, proposal: ModelProposal) -> ModelProposalView:
        """As the desk tells it."""
        return cls(**{name: getattr(proposal, name) for name in cls.model_fields})


class ModelRollbackWish(WhyWish):
    """Back to the champion before; refused where another one decides by now."""

    champion: Annotated[
        str,
        Field(pattern="^[0-9a-f]{16}$", description="The champion that was read."),
    ]


class ChampionView(View):
    """The model that decides."""

    champion: str


@router.get("/models", operation_id="listModels")
def list_models(by: Visiting) -> ModelsView:
    """List the models of the services' registry, and who was promoted."""
    return ModelsView.of(by.plane.models.told(by.person))


@router.get("/model-proposals", operation_id="listModelProposals")
def list_model_proposals(
    by: Visiting, cursor: Cursor = "", limit: Limit = 50
) -> Page[ModelProposalView]:
    """List proposals of models, the newest first."""
    found = by.plane.models.proposals(
        by.person, below=place_of(cursor), count_max=limit + 1
    )
    more = cursor_at(found[limit - 1].number) if len(found) > limit else None
    items = [ModelProposalView.of(each) for each in found[:limit]]
    return Page(items=items, next=more)


@router.post(
    "/models/{model}/proposals",
    operation_id="proposeModel",
    status_code=HTTPStatus.CREATED,
)
def propose_model(by: Visiting, model: ModelHash, wish: WhyWish) -> ModelProposalView:
    """Propose a model as the champion; it is loaded and checked first."""
    proposal = by.plane.models.propose(by.because(wish.why), model)
    return ModelProposalView.of(proposal)


@router.post("/model-proposals/{number}/approval", operation_id="approveModel")
def approve_model(
    by: Visiting, number: ProposalNumber, wish: WhyWish
) -> ModelProposalView:
    """Approve a proposal of another person: its model decides within seconds."""
    return ModelProposalView.of(by.plane.models.approve(by.because(wish.why), number))


@router.post("/model-proposals/{number}/rejection", operation_id="rejectModel")
def reject_model(
    by: Visiting, number: ProposalNumber, wish: WhyWish
) -> ModelProposalView:
    """Reject a proposal, or withdraw one's own."""
    return ModelProposalView.of(by.plane.models.reject(by.because(wish.why), number))


@router.post("/models/rollback", operation_id="rollBackModel")
def roll_back_model(by: Visiting, wish: ModelRollbackWish) -> ChampionView:
    """Let the champion before this one decide again, at once."""
    champion = by.plane.models.roll_back(by.because(wish.why), wish.champion)
    return ChampionView(champion=champion)
