"""Who calls, by certificate, and what each caller may do: everything else is denied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from pydantic import BaseModel, ConfigDict, Field

from scoring.adapters.grpc_intake import Identity
from scoring.adapters.grpc_status import Context, Refusal, Refused
from scoring.core import document
from scoring.core.transaction import DEFAULT_TENANT, Transaction
from scoring.errors import BadArtifact

ANY = "*"


class CallerRule(BaseModel):
    """What one caller may do. "*" stands for any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="SAN of the certificate (URI, DNS), else its CN")
    methods: frozenset[str] = Field(min_length=1)
    tenants: frozenset[str] = frozenset({DEFAULT_TENANT})
    merchants: frozenset[str] = frozenset({ANY})


class AccessFile(BaseModel):
    """Every caller that is let in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    callers: tuple[CallerRule, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class KnownCaller:
    """A caller and its limits."""

    rule: CallerRule

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
class CertificateAccess:
    """Names callers by their verified certificate."""

    rules: dict[str, CallerRule]

    def identify(self, context: Context, method: str) -> Identity:
        """Who calls; raises `Refused`."""
        names = names_of(context.auth_context())
        if not names:
            raise Refused(_STRANGER)
        for name in names:
            rule = self.rules.get(name)
            if rule is not None and (method in rule.methods or ANY in rule.methods):
                return KnownCaller(rule)
        raise Refused(_DENIED)


_STRANGER = Refusal(
    grpc.StatusCode.UNAUTHENTICATED, "present a client certificate that names you"
)
_DENIED = Refusal(
    grpc.StatusCode.PERMISSION_DENIED, "this caller may not call this method"
)


def load_access(path: Path) -> CertificateAccess:
    """Read who may call what; raises `BadArtifact` with line and field."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadArtifact(f"{path}: cannot be read: {error}") from error
    file = document.load(text, AccessFile, name=str(path))
    return CertificateAccess({rule.name: rule for rule in file.callers})


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


def _permit(allowed: frozenset[str], value: str, field: str) -> None:
    if value not in allowed and ANY not in allowed:
        raise Refused(
            Refusal(
                grpc.StatusCode.PERMISSION_DENIED,
                f"{field}: not among those of this caller",
                field,
            )
        )
