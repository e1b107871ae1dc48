"""A line for some decisions: the same ones at every replay, chosen by their payload."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from scoring.core.decision.decision import DecisionCore
from scoring.pipeline.answer import Decided
from scoring.ports.check import Check

_log = logging.getLogger(__name__)
_BYTES = 4


@dataclass(frozen=True, slots=True)
class DecisionLines:
    """Says a share of the decisions: outcome, score, versions and what was missing.

    By a hash of the payment, so that all processes choose alike. `share` is 0 to 1.
    """

    share: float = 0.0
    _below: int = field(init=False)

    def __post_init__(self) -> None:
        below = round(self.share * 256**_BYTES)
        object.__setattr__(self, "_below", below)

    def say(
        self,
        checks: Sequence[Check],
        cores: Sequence[DecisionCore],
        answers: Sequence[object],
    ) -> None:
        """One line each that is chosen."""
        if not self._below:
            return
        for check, core, answer in zip(checks, cores, answers, strict=True):
            chosen = int.from_bytes(check.payload_hash[:_BYTES]) < self._below
            if chosen and isinstance(answer, Decided) and not check.dry_run:
                _log.info(
                    "decided %s", core.outcome.name.lower(), extra=_said(check, core)
                )


def _said(check: Check, core: DecisionCore) -> dict[str, object]:
    return {
        "decision": core.transaction_id,
        "tenant": core.tenant,
        "door": check.door.name.lower(),
        "score": None if core.score is None else round(core.score, 6),
        "rung": core.rung.name.lower(),
        "missing": ",".join(d.code.name.lower() for d in core.degradations),
        "provisional": core.provisional,
        "policy": core.versions.policy,
        "model": core.versions.model,
        "definitions": core.versions.features,
        "reasons": ",".join(reason.code for reason in core.reasons),
    }
