"""What a store on Redis is told once: its catalogue, its namespace and its terms."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from scoring.core.features.catalogue import Catalogue
from scoring.stores.redis.opening import HadHistory
from scoring.stores.redis.script_compiler import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """The terms of a store.

    `had_history` is asked where the namespace is empty: True there means that the
    history is lost, and nothing is answered from it before a rebuild. `claims` is
    another namespace for claims and decisions: a rebuild's own. A server that owes a
    reply and says nothing for `silence_s` is unavailable to whoever gave a `timeout_s`.
    """

    catalogue: Catalogue
    namespace: str
    lateness_ms: int
    dedupe_ms: int
    claims: str = ""
    had_history: HadHistory | None = None
    silence_s: float = inf

    @property
    def terms(self) -> Terms:
        """How late a transaction may be, and how long its id is known."""
        return Terms(self.lateness_ms, self.dedupe_ms)
