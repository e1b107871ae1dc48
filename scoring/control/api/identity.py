"""Who asks: by our token, an identity provider's, or a trusted proxy's word."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Protocol

from starlette.datastructures import Headers

from scoring.control.domain.people import Person, PersonRole
from scoring.control.domain.tokens import TOKEN_PREFIX, token_digest
from scoring.errors import BadArtifact, Denied, Unauthenticated

if TYPE_CHECKING:
    from scoring.doors.auth.jwt import Tokens

_BEARER = "bearer "
_TOKEN_CHARACTERS_MAX = 8_192  # as much as all headers of a request may be, by half
_TOKENLESS = "nobody is named; send a token: authorization: Bearer …"


class PeopleTokens(Protocol):
    """People who were given a token of ours."""

    def holder(self, digest: str) -> tuple[str, frozenset[PersonRole]] | None:
        """Name and roles of whoever holds the token of a digest; None for nobody."""
        ...


@dataclass(frozen=True, slots=True)
class LocalAdmin:
    """One admin with a token in a file, where the control plane listens on loopback."""

    digest: str
    name: str = "local"

    def holds(self, token: str) -> bool:
        """Whether it is that token; takes as long for a wrong one."""
        return hmac.compare_digest(self.digest, token_digest(token))


@dataclass(frozen=True, slots=True)
class ProviderRoles:
    """How the roles of an identity provider are called: ours by its names.

    A name that is one of our roles means that role, unless `names` says otherwise.
    """

    names: Mapping[str, PersonRole] = field(default_factory=dict)

    def roles(self, given: Iterable[str]) -> frozenset[PersonRole]:
        """Our roles among what the provider gave.

        >>> sorted(ProviderRoles({"fraud-leads": PersonRole.APPROVER}).roles(
        ...     ["author", "fraud-leads", "payroll"]))
        [<PersonRole.APPROVER: 'approver'>, <PersonRole.AUTHOR: 'author'>]
        """
        known = {role.value: role for role in PersonRole} | dict(self.names)
        return frozenset(known[name] for name in given if name in known)


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A proxy that has asked who it is; believed from its own addresses alone."""

    networks: tuple[IPv4Network | IPv6Network, ...]
    person_header: str
    roles_header: str
    origin_header: str = "x-forwarded-for"

    def is_at(self, address: str) -> bool:
        """Whether a connection comes from the proxy."""
        try:
            at = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(at, "ipv4_mapped", None) or at
        return any(mapped in network for network in self.networks)


def networks_of(addresses: Iterable[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and networks as they are written; raises `BadArtifact`.

    >>> networks_of(["10.0.0.7", "10.1.0.0/16"])
    (IPv4Network('10.0.0.7/32'), IPv4Network('10.1.0.0/16'))
    """
    found = []
    for address in sorted(addresses):
        try:
            found.append(ip_network(address))
        except ValueError as error:
            raise BadArtifact(
                f"SCORING_CONTROL_PROXIES: {address}: write an address or a network, "
                "10.0.0.7 or 10.0.0.0/24"
            ) from error
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Identity:
    """Finds out who asks; whoever can be known in several ways must be in the first.

    A token that is sent must be good: nothing else makes up for it.
    """

    people: PeopleTokens | None = None
    local: LocalAdmin | None = None
    tokens: Tokens | None = None
    proxy: TrustedProxy | None = None
    provider: ProviderRoles = field(default_factory=ProviderRoles)

    def person(self, headers: Headers, address: str) -> Person:
        """Who asks, from an address.

        Raises `Unauthenticated`, which repeats nothing that was sent, and `Denied` for
        somebody without a role.
        """
        sent = headers.get("authorization", "")
        if sent:
            return self._by_token(sent, address)
        if self.proxy is not None and self.proxy.is_at(address):
            return self._by_proxy(self.proxy, headers, address)
        raise Unauthenticated(_TOKENLESS)

    def _by_token(self, sent: str, address: str) -> Person:
        token = sent[len(_BEARER) :].strip()
        if sent[: len(_BEARER)].lower() != _BEARER or not token:
            raise Unauthenticated(_TOKENLESS)
        if len(token) > _TOKEN_CHARACTERS_MAX:
            raise Unauthenticated("the token is refused: it is too long")
        if token.startswith(TOKEN_PREFIX):
            return self._by_own_token(token, address)
        if self.tokens is None:
            raise Unauthenticated(
                "the token is refused: it is none of ours; take one of `scoring "
                "control people add`, or set SCORING_JWT_JWKS_FILE"
            )
        bearer = self.tokens.bearer(token)
        return _with_role(bearer.subject, self.provider.roles(bearer.roles), address)

    def _by_own_token(self, token: str, address: str) -> Person:
        if self.local is not None and self.local.holds(token):
            return Person(self.local.name, frozenset({PersonRole.ADMIN}), address)
        found = self.people and self.people.holder(token_digest(token))
        if not found:
            raise Unauthenticated(
                "the token is refused: nobody holds it; it was withdrawn, or another "
                "was given in its place: `scoring control people add` gives one"
            )
        return _with_role(*found, address)

    def _by_proxy(self, proxy: TrustedProxy, headers: Headers, address: str) -> Person:
        for header in (proxy.person_header, proxy.roles_header):
            if len(headers.getlist(header)) > 1:  # one of them is a caller's own
                raise Unauthenticated(
                    f"{header} is there twice; have the proxy remove what a caller "
                    "sends"
                )
        name = _read(headers, proxy.person_header)
        if not name:
            raise Unauthenticated(
                f"the proxy names nobody; have it set {proxy.person_header}, or send a "
                "token"
            )
        given = _read(headers, proxy.roles_header).replace(",", " ").split()
        # The last is what the proxy itself saw; those before it a caller can write.
        seen = ",".join(headers.getlist(proxy.origin_header))
        before = seen.rpartition(",")[2].strip()
        return _with_role(name, self.provider.roles(given), _address(before) or address)


def _read(headers: Headers, name: str) -> str:
    """A header's text, in UTF-8; raises `Unauthenticated`.

    Read as Latin-1, as HTTP once had it, one person would have two names: what a token
    calls josé, a proxy would call josÃ©, and the one could approve the other's work.
    """
    try:
        return headers.get(name, "").encode("latin-1").decode()
    except UnicodeError as error:
        raise Unauthenticated(
            f"{name} is not UTF-8; have the proxy send it so"
        ) from error


def _address(written: str) -> str:
    try:
        return str(ip_address(written))
    except ValueError:
        return ""


def _with_role(name: str, roles: frozenset[PersonRole], address: str) -> Person:
    person = Person(name, roles, address)
    if not roles:
        known = ", ".join(PersonRole)
        raise Denied(
            f"{name} has no role here; have the identity provider give one of {known}, "
            "or name its own in SCORING_CONTROL_ROLES"
        )
    return person
