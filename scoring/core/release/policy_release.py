"""A release of the policy: which versions the data plane runs, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

POLICY_KEY = "policy"  # of the topic `control`


@dataclass(frozen=True, slots=True)
class CandidateArm:
    """A version that decides a share of payments, in (0, 1), in place of the policy."""

    policy: str
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share: {self.share} is not between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRelease:
    """An immutable, numbered arrangement of policy versions.

    `policy`, the candidate's and each of `shadow` are versions (16 hexadecimal
    characters) whose texts were published before. `rearmed` maps a rule to the
    instant, in ms, from which on its breaker may trip again. `audit` is the hash of
    the audit entry that records this release: an anchor outside the database.
    """

    release: int
    policy: str
    candidate: CandidateArm | None = None
    shadow: tuple[str, ...] = ()
    rearmed: Mapping[str, int] = field(default_factory=dict)
    by: str = ""
    why: str = ""
    published_at_ms: int = 0
    audit: str = ""

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that it names, the policy first, each once.

        >>> PolicyRelease(release=1, policy="a", shadow=("b", "a")).versions
        ('a', 'b')
        """
        candidate = () if self.candidate is None else (self.candidate.policy,)
        return tuple(dict.fromkeys((self.policy, *candidate, *self.shadow)))


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A version as text; `reasons` is its table of reasons, None the shipped one."""

    version: str
    text: str
    reasons: str | None = None

    @property
    def key(self) -> str:
        """Its key in the topic `control`.

        >>> PolicyText("6d9c6ec5a8a4f7a1", "version: 1").key
        'policy/6d9c6ec5a8a4f7a1'
        """
        return f"{POLICY_KEY}/{self.version}"
