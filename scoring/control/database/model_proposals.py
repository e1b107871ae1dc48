"""Models that were proposed as the champion, as rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from scoring.control.database import rows
from scoring.control.database.model_tables import MODEL_PROPOSALS
from scoring.control.domain.model_proposals import ModelProposal, ModelStage
from scoring.errors import NotFound

_C = MODEL_PROPOSALS.c


class ModelProposals:
    """The proposals, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next_number(self) -> int:
        """The next number."""
        return rows.next_number(self._connection, _C.number)

    def add(self, proposal: ModelProposal) -> None:
        """Keep a new one."""
        values = _values(proposal)
        rows.saved(self._connection, MODEL_PROPOSALS, values, new=True)

    def save(self, proposal: ModelProposal) -> None:
        """Keep what has become of one."""
        values = _values(proposal)
        rows.saved(self._connection, MODEL_PROPOSALS, values, new=False)

    def proposal(self, number: int) -> ModelProposal:
        """One; raises `NotFound`."""
        found = select(MODEL_PROPOSALS).where(_C.number == number)
        row = self._connection.execute(found).one_or_none()
        if row is None:
            raise NotFound(f"there is no proposal {number} of a model")
        return _proposal(row)

    def newest(self, *, below: int | None, count_max: int) -> list[ModelProposal]:
        """Proposals, the newest first."""
        found = select(MODEL_PROPOSALS).order_by(_C.number.desc()).limit(count_max)
        if below is not None:
            found = found.where(_C.number < below)
        return [_proposal(row) for row in self._connection.execute(found)]


def _values(proposal: ModelProposal) -> dict[str, Any]:
    values = {name: getattr(proposal, name) for name in proposal.__slots__}
    return values | {"stage": proposal.stage.value}


def _proposal(row: Row[Any]) -> ModelProposal:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
    return ModelProposal(**values | {"stage": ModelStage(row.stage)})
