"""Who calls, by certificate or token, and what each may do: all else is denied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scoring.core import document
from scoring.core.transaction.transaction import DEFAULT_TENANT, Transaction
from scoring.doors.auth.rate_limit import Quota
from scoring.errors import BadArtifact, Denied, RateLimited, Unauthenticated
from scoring.ports.events import Event

if TYPE_CHECKING:
    from scoring.doors.auth.jwt import Tokens

ANY = "*"
_BEARER = "bearer "
# One call of these brings many transactions or follow-ups; each of them counts.
_ITEMISED = frozenset(
    {
        "BatchCheckTransactions",
        "StreamCheckTransactions",
        "ReportLabels",
        "ReportEvents",
    }
)
# What each refusal counts as.
_EVENTS = {
    Unauthenticated: Event.CALLER_UNAUTHENTICATED,
    Denied: Event.CALLER_PERMISSION_DENIED,
    RateLimited: Event.CALLER_RESOURCE_EXHAUSTED,
}


class Credentials(Protocol):
    """What a caller shows of who it is, whatever it calls by."""

    @property
    def names(self) -> Sequence[str]:
        """Those that a verified certificate gives, the first that is listed counts."""
        ...

    @property
    def authorization(self) -> str:
        """The header of that name, or empty."""
        ...


class CallerRule(BaseModel):
    """What one caller may do. "*" means any.

    A certificate's name and a token's subject are told apart: who can obtain the
    one does not gain the rights of the other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("", description="SAN of the certificate (URI, DNS), else its CN")
    subject: str = Field("", description="who the token names")
    methods: frozenset[str] = Field(min_length=1)
    tenants: frozenset[str] = frozenset({DEFAULT_TENANT})
    merchants: frozenset[str] = frozenset({ANY})
    rate_per_s: float | None = Field(
        None, gt=0, description="calls, and items of batches and streams; each process"
    )
    burst_count: int | None = Field(
        None, ge=1, description="at once; default: what one second brings"
    )

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not self.name and not self.subject:
            raise ValueError("needs a name (certificate), a subject (token), or both")
        if self.burst_count is not None and self.rate_per_s is None:
            raise ValueError("burst_count needs rate_per_s")
        return self

    def quota(self, monotonic: Callable[[], float]) -> Quota | None:
        """The rate of this caller, if it has one."""
        if self.rate_per_s is None:
            return None
        burst = self.burst_count or max(1, round(self.rate_per_s))
        return Quota(self.rate_per_s, burst, monotonic)


class AccessFile(BaseModel):
    """Every caller that is let in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    callers: tuple[CallerRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        for kind in ("name", "subject"):
            given = [
                getattr(rule, kind) for rule in self.callers if getattr(rule, kind)
            ]
            twice = sorted({one for one in given if given.count(one) > 1})
            if twice:
                raise ValueError(f"{kind} is given twice: {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """A caller and its limits; `expired` raises once its token has run out."""

    rule: CallerRule
    quota: Quota | None = None  # of each item
    expired: Callable[[], None] | None = None

    def spend(self) -> None:
        """Count one item of a call.

        Raises `RateLimited` beyond the rate, `Unauthenticated` for an expired token.
        """
        if self.expired:
            self.expired()
        if self.quota:
            self.quota.spend()

    def admit(self, transaction: Transaction) -> None:
        """Raise `Denied` for a tenant or merchant that is not this caller's."""
        _permit(self.rule.tenants, transaction.tenant, "tenant")
        _permit(self.rule.merchants, transaction.merchant, "merchant")

    def admit_lookup(self, tenant: str) -> None:
        """Raise `Denied` for a tenant that is not this caller's.

        A recorded decision does not name its merchant: who is limited to some
        merchants may not look decisions up, nor label them.
        """
        _permit(self.rule.tenants, tenant, "tenant")
        if ANY not in self.rule.merchants:
            raise Denied("look-ups and labels need a caller of all merchants")


@dataclass(frozen=True, slots=True)
class ListedCaller:
    """A rule with the rate that all calls of its caller share."""

    rule: CallerRule
    quota: Quota | None

    def may_call(self, method: str) -> bool:
        """Whether the method is among those of this caller."""
        return method in self.rule.methods or ANY in self.rule.methods

    def calling(
        self, method: str, expired: Callable[[], None] | None = None
    ) -> KnownCaller:
        """Admit one call; raises `RateLimited` beyond the rate."""
        if self.quota:
            self.quota.spend()
        return KnownCaller(
            self.rule, self.quota if method in _ITEMISED else None, expired
        )


def ignored(_event: Event) -> None:
    """Nobody counts who is refused."""


@dataclass(frozen=True, slots=True)
class ListedAccess:
    """Lets in who is listed, by verified token, else by verified certificate.

    Where tokens are read, one that is sent must verify: a certificate does not
    make up for it.
    """

    by_name: dict[str, ListedCaller]
    by_subject: dict[str, ListedCaller] = field(default_factory=dict)
    tokens: Tokens | None = None
    count: Callable[[Event], None] = ignored

    def identify(self, credentials: Credentials, method: str) -> KnownCaller:
        """Who calls; what it raises is counted.

        Raises `Unauthenticated` for a stranger, `Denied` for a method that is not
        this caller's, `RateLimited` beyond its rate.
        """
        try:
            return self._identified(credentials, method)
        except (Denied, RateLimited) as error:
            self.count(_EVENTS[type(error)])
            raise

    def _identified(self, credentials: Credentials, method: str) -> KnownCaller:
        if self.tokens and (sent := credentials.authorization):
            return self._by_token(self.tokens, sent, method)
        names = credentials.names
        if not names:
            raise Unauthenticated(_TOKENLESS if self.tokens else _STRANGER)
        for name in names:
            listed = self.by_name.get(name)
            if listed is not None and listed.may_call(method):
                return listed.calling(method)
        raise Denied(_DENIED)

    def _by_token(self, tokens: Tokens, sent: str, method: str) -> KnownCaller:
        if sent[: len(_BEARER)].lower() != _BEARER:
            raise Unauthenticated(_TOKENLESS)
        bearer = tokens.bearer(sent[len(_BEARER) :].strip())
        listed = self.by_subject.get(bearer.subject)
        if listed is None or not listed.may_call(method):
            raise Denied(_DENIED)
        return listed.calling(method, lambda: tokens.refuse_expired(bearer))


_STRANGER = "present a client certificate that names you"
_TOKENLESS = "send a token that names you: authorization: Bearer …"
_DENIED = "this caller may not call this method"


def load_access(
    path: Path,
    *,
    monotonic: Callable[[], float],
    tokens: Tokens | None = None,
    count: Callable[[Event], None] = ignored,
) -> ListedAccess:
    """Read who may call what; raises `BadArtifact` with line and field."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadArtifact(f"{path}: cannot be read: {error}") from error
    file = document.load(text, AccessFile, name=str(path))
    listed = [ListedCaller(rule, rule.quota(monotonic)) for rule in file.callers]
    return ListedAccess(
        {one.rule.name: one for one in listed if one.rule.name},
        {one.rule.subject: one for one in listed if one.rule.subject},
        tokens,
        count,
    )


def _permit(allowed: frozenset[str], value: str, field: str) -> None:
    if value not in allowed and ANY not in allowed:
        raise Denied(f"{field}: not among those of this caller", field)
