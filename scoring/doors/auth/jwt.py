"""Who a signed token (JWT) names: keys from a JWKS file, re-read when it changes."""

from __future__ import annotations

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt

from scoring.errors import BadArtifact, Unauthenticated

# One algorithm for each kind of key: a key never verifies what another kind signed,
# and neither `none` nor a shared secret can be named by a token.
ALGORITHMS = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
# Private parts of keys (RFC 7518, 6): a file that holds one is the wrong file.
_PRIVATE_FIELDS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_REQUIRED_CLAIMS = ("exp", "iss", "aud")
_RSA_BITS_MIN = 2_048
_FILE_BYTES_MAX = 1_048_576
_TOKEN_CHARACTERS_MAX = 8_192  # as much as all metadata of a call may be
# A caller sends the same token with every call until it expires.
_REMEMBERED_COUNT_MAX = 1_024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a verified token names, and until when, seconds since 1970.

    `roles` are the texts of the claim of roles, where the rules name one.
    """

    subject: str
    expires_at_s: float
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say: by whom it was issued, for whom, and who it names.

    `leeway_s` is how far the issuer's clock may be from ours. `roles_claim` is the
    claim of the roles of who it names, "a.b" where it is nested; empty: none is read.
    """

    issuer: str
    audience: str
    caller_claim: str = "sub"
    leeway_s: float = 30.0
    roles_claim: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key with the one algorithm that it verifies."""

    public: jwt.PyJWK
    algorithm: str


Stamp = tuple[int, int, int] | None  # None: the file is not there


@dataclass(slots=True)
class Tokens:
    """Verifies tokens by the keys of a JWKS file.

    Whether the file is another is looked at in every call. A new file that cannot be
    used leaves the keys in use. `now_s` is the wall clock: tokens
    expire by it.
    """

    jwks_file: Path
    rules: TokenRules
    now_s: Callable[[], float]
    _keys: dict[str, Key] = field(init=False)
    _seen: Stamp = field(init=False)
    _known: OrderedDict[bytes, Bearer] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._seen = _stamp_of(self.jwks_file)
        self._keys = keys_from(self.jwks_file)

    def bearer(self, token: str) -> Bearer:
        """Who the token names.

        Raises `Unauthenticated`, which says why and never what the token held.
        """
        self._follow_file()
        # By digest: how long a look-up takes says nothing about a known token.
        digest = sha256(token.encode("utf-8", "replace")).digest()
        bearer = self._known.get(digest)
        if bearer is None:
            bearer = self._verified(token)
            self._known[digest] = bearer
            if len(self._known) > _REMEMBERED_COUNT_MAX:
                self._known.popitem(last=False)
        self.refuse_expired(bearer)
        return bearer

    def refuse_expired(self, bearer: Bearer) -> None:
        """Raise `Unauthenticated` once it has expired: a stream may outlive it."""
        if self.now_s() >= bearer.expires_at_s + self.rules.leeway_s:
            raise _refused("it has expired")

    def _verified(self, token: str) -> Bearer:
        if len(token) > _TOKEN_CHARACTERS_MAX:
            raise _refused("it is too long")
        try:
            key = self._key_of(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                audience=self.rules.audience,
                issuer=self.rules.issuer,
                options={
                    "require": list(_REQUIRED_CLAIMS),
                    # By our clock, below.
                    "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                },
            )  # fmt: skip
        # The latter: a header of brackets in brackets, which the parser recurses into.
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _refused(_reason_of(error)) from None
        return self._bearer_of(claims)

    def _key_of(self, header: Mapping[str, Any]) -> Key:
        kid = header.get("kid")
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise _refused("no key of ours has its kid")
        return key

    def _bearer_of(self, claims: Mapping[str, Any]) -> Bearer:
        expires_at_s = _instant(claims, "exp")
        starts_at_s = _instant(claims, "nbf") if "nbf" in claims else 0.0
        if self.now_s() < starts_at_s - self.rules.leeway_s:
            raise _refused("it is not valid yet")
        subject = claims.get(self.rules.caller_claim)
        if not isinstance(subject, str) or not subject:
            raise _refused(f"its claim {self.rules.caller_claim!r} names nobody")
        return Bearer(subject, expires_at_s, self._roles_of(claims))

    def _roles_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        name = self.rules.roles_claim
        return roles_in(claims, name) if name else frozenset()

    def _follow_file(self) -> None:
        stamp = _stamp_of(self.jwks_file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = keys_from(self.jwks_file)
        except BadArtifact as error:
            _log.warning(
                "the token keys in use stay: the new file is refused: %s", error
            )
            return
        self._known.clear()  # verified by a key that was removed: unknown again
        _log.warning("token keys replaced from %s", self.jwks_file)


def keys_from(path: Path) -> dict[str, Key]:
    """The keys of a JWKS file by their kid; raises `BadArtifact`."""
    try:
        raw = path.read_bytes()
        if len(raw) > _FILE_BYTES_MAX:
            raise BadArtifact(f"{path}: larger than {_FILE_BYTES_MAX} bytes")
        listed = json.loads(raw)["keys"]
        keys = [_key_from(path, i, item) for i, item in enumerate(listed)]
    except OSError as error:
        raise BadArtifact(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadArtifact(f"{path}: is no JWKS: write {{'keys': [...]}}") from error
    by_kid = {str(key.public.key_id or ""): key for key in keys}
    if not keys or len(by_kid) != len(keys):
        raise BadArtifact(f"{path}: keys: needs at least one, each with its own kid")
    return by_kid


def _key_from(path: Path, position: int, item: dict[str, Any]) -> Key:
    where = f"{path}: keys.{position}"
    algorithm = ALGORITHMS.get((item["kty"], item.get("crv")))
    if algorithm is None or item.get("alg", algorithm) != algorithm:
        raise BadArtifact(
            f"{where}: is for none of {', '.join(ALGORITHMS.values())}; use an RSA, "
            "P-256 or Ed25519 key"
        )
    if _PRIVATE_FIELDS & item.keys():
        raise BadArtifact(f"{where}: holds a private key; publish its public part only")
    try:
        public = jwt.PyJWK(item, algorithm)
    except (jwt.PyJWTError, ValueError) as error:
        raise BadArtifact(f"{where}: is no key: {error}") from error
    if algorithm == "RS256" and public.key.key_size < _RSA_BITS_MIN:
        raise BadArtifact(f"{where}: is shorter than {_RSA_BITS_MIN} bits; use more")
    return Key(public, algorithm)


def _stamp_of(path: Path) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - follows the links that Kubernetes swaps
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def roles_in(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """The texts of a claim: a list of them, or one text with blanks or commas between.

    A name with points is that of a claim, else the way to a nested one.

    >>> sorted(roles_in({"realm_access": {"roles": ["author"]}}, "realm_access.roles"))
    ['author']
    >>> sorted(roles_in({"https://bank.example/roles": "author viewer"},
    ...                 "https://bank.example/roles"))
    ['author', 'viewer']
    """
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for step in name.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, list):
        return frozenset()
    return frozenset(each for each in value if isinstance(each, str))


def _instant(claims: Mapping[str, Any], name: str) -> float:
    """Seconds since 1970.

    >>> _instant({"exp": 5}, "exp")
    5.0
    """
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(f"its claim {name!r} is no time")
    return float(value)


def _reason_of(error: Exception) -> str:
    """What is wrong with a token, in words that hold none of it."""
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return "it is no token that we read"


_REASONS: dict[type[jwt.InvalidTokenError], str] = {
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidIssuerError: "another issuer made it",
    jwt.MissingRequiredClaimError: "it lacks one of exp, iss, aud",
    jwt.InvalidSignatureError: "its signature does not verify",
    jwt.InvalidAlgorithmError: "its algorithm is not the key's",
}


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated(f"the token is refused: {reason}")
