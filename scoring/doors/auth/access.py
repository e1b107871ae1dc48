"""Who calls, by certificate or token, and what each may do: all else is denied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from scoring.core import document
from scoring.core.transaction.transaction import DEFAULT_TENANT, Transaction
from scoring.doors.auth.rate_limit import Quota
from scoring.doors.grpc.requests import Identity
from scoring.doors.grpc.status import Context, Refusal, Refused
from scoring.errors import BadArtifact

if TYPE_CHECKING:
    from scoring.doors.auth.jwt import Tokens

ANY = "*"
_BEARER = "bearer "
# One call of these brings many transactions or labels; each of them counts.
_ITEMISED = frozenset(
    {"BatchCheckTransactions", "StreamCheckTransactions", "ReportLabels"}
)


class CallerRule(BaseModel):
    """What one caller may do. "*" stands for any.

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
        """Count one item; raises `Refused` beyond the rate, or an expired token."""
        if self.expired:
            self.expired()
        if self.quota:
            self.quota.spend()

    def admit(self, transaction: Transaction) -> None:
        """Raise `Refused` for a tenant or merchant that is not this caller's."""
        _permit(self.rule.tenants, transaction.tenant, "tenant")
        _permit(self.rule.merchants, transaction.merchant, "merchant")

    def admit_lookup(self, tenant: str) -> None:
        """Raise `Refused` for a tenant that is not this caller's.

        A recorded decision does not name its merchant: who is limited to some
        merchants may not look decisions up, nor label them.
        """
        _permit(self.rule.tenants, tenant, "tenant")
        if ANY not in self.rule.merchants:
            raise Refused(
                Refusal(
                    grpc.StatusCode.PERMISSION_DENIED,
                    "look-ups and labels need a caller of all merchants",
                )
            )


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
        """Admit one call; raises `Refused` beyond the rate."""
        if self.quota:
            self.quota.spend()
        return KnownCaller(
            self.rule, self.quota if method in _ITEMISED else None, expired
        )


def ignored(_event: str) -> None:
    """Nobody counts who is turned away."""


@dataclass(frozen=True, slots=True)
class ListedAccess:
    """Lets in who is listed, by verified token, else by verified certificate.

    Where tokens are read, one that is sent must verify: a certificate does not
    make up for it.
    """

    by_name: dict[str, ListedCaller]
    by_subject: dict[str, ListedCaller] = field(default_factory=dict)
    tokens: Tokens | None = None
    count: Callable[[str], None] = ignored

    def identify(self, context: Context, method: str) -> Identity:
        """Who calls; raises `Refused`, and counts it by its status."""
        try:
            return self._identified(context, method)
        except Refused as refused:
            self.count(f"caller_{refused.refusal.code.name.lower()}")
            raise

    def _identified(self, context: Context, method: str) -> Identity:
        if self.tokens and (sent := _authorization(context)):
            return self._by_token(self.tokens, sent, method)
        names = names_of(context.auth_context())
        if not names:
            raise Refused(_TOKENLESS if self.tokens else _STRANGER)
        for name in names:
            listed = self.by_name.get(name)
            if listed is not None and listed.may_call(method):
                return listed.calling(method)
        raise Refused(_DENIED)

    def _by_token(self, tokens: Tokens, sent: str, method: str) -> Identity:
        if sent[: len(_BEARER)].lower() != _BEARER:
            raise Refused(_TOKENLESS)
        bearer = tokens.bearer(sent[len(_BEARER) :].strip())
        listed = self.by_subject.get(bearer.subject)
        if listed is None or not listed.may_call(method):
            raise Refused(_DENIED)
        return listed.calling(method, lambda: tokens.refuse_expired(bearer))


_STRANGER = Refusal(
    grpc.StatusCode.UNAUTHENTICATED, "present a client certificate that names you"
)
_TOKENLESS = Refusal(
    grpc.StatusCode.UNAUTHENTICATED,
    "send a token that names you: authorization: Bearer …",
)
_DENIED = Refusal(
    grpc.StatusCode.PERMISSION_DENIED, "this caller may not call this method"
)


def load_access(
    path: Path,
    *,
    monotonic: Callable[[], float],
    tokens: Tokens | None = None,
    count: Callable[[str], None] = ignored,
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


def names_of(auth_context: Mapping[str, Iterable[bytes]]) -> list[str]:
    """The names a verified certificate gives: its SANs, else its common name.

    >>> names_of({"x509_common_name": [b"shop"]})
    ['shop']
    >>> names_of({"x509_common_name": [b"x"], "x509_subject_alternative_name": [b"a"]})
    ['a']
    """
    names = auth_context.get("x509_subject_alternative_name") or auth_context.get(
        "x509_common_name", []
    )
    return [name.decode("utf-8", "replace") for name in names]


def _authorization(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str):
            return value
    return ""


def _permit(allowed: frozenset[str], value: str, field: str) -> None:
    if value not in allowed and ANY not in allowed:
        raise Refused(
            Refusal(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{field}: not among those of this caller",
                field,
            )
        )
