"""Signed tokens for tests: an issuer's keys, its JWKS file, and who may do what."""

import json
import time
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER, AUDIENCE = "https://id.bank.example", "fraud-scoring"
ACCESS = """
callers:
  - subject: gateway
    methods: ["*"]
  - subject: shop
    methods: [CheckTransaction, StreamCheckTransactions]
    merchants: [merchant-shop]
  - subject: slow
    methods: ["*"]
    rate_per_s: 0.001
    burst_count: 3
  - name: by-certificate-only
    methods: ["*"]
"""
MAKE = {
    "RS256": lambda: rsa.generate_private_key(65_537, 2_048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@dataclass(frozen=True)
class SigningKey:
    """An issuer's key; `public` is its row of the JWKS file."""

    kid: str
    algorithm: str = "EdDSA"
    private: object = None
    public: dict = field(default_factory=dict)

    @classmethod
    def made(cls, kid, algorithm="EdDSA"):
        private = MAKE[algorithm]()
        known = get_default_algorithms()[algorithm]
        public = json.loads(known.to_jwk(private.public_key()))
        public.pop("key_ops", None)
        return cls(kid, algorithm, private, {**public, "kid": kid})

    def token(self, headers=None, **claims):
        known = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "gateway",
            "exp": int(time.time()) + 600,
        }
        payload = {k: v for k, v in (known | claims).items() if v is not None}
        return jwt.encode(
            payload, self.private, self.algorithm, {"kid": self.kid, **(headers or {})}
        )


KEYS = {name: SigningKey.made(f"k-{name}", name) for name in MAKE}
MAIN = KEYS["EdDSA"]


def write_jwks(path, *keys):
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"keys": [key.public for key in keys]}))
    fresh.replace(path)


def token_settings(tmp_path, *keys):
    jwks, access = tmp_path / "jwks.json", tmp_path / "access.yaml"
    write_jwks(jwks, *keys)
    access.write_text(ACCESS)
    return {
        "jwt_jwks_file": jwks,
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "access_file": access,
    }
