"""Problem details (RFC 9457): what an HTTP caller reads of a refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from scoring.doors.calls.refusals import Refusal
from scoring.wire.headers import PROBLEM_JSON

TYPE_PREFIX = "urn:fraud-scoring:problem:"
_MS_PER_S = 1_000
Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Problem(Exception):
    """A refusal as HTTP says it. `headers` are those beside its content's own."""

    status: HTTPStatus
    slug: str
    title: str
    detail: str
    field: str = ""
    retry_after_ms: int = 0
    headers: tuple[Header, ...] = ()

    @classmethod
    def of(cls, refusal: Refusal) -> Problem:
        """The same as any other door would say it."""
        kind = refusal.kind
        headers: tuple[Header, ...] = ()
        if refusal.retry_after_ms:
            seconds = ceil(refusal.retry_after_ms / _MS_PER_S)
            headers = ((b"retry-after", b"%d" % seconds),)
        if kind.status is HTTPStatus.UNAUTHORIZED:
            headers = ((b"www-authenticate", b"Bearer"),)
        return cls(
            kind.status,
            kind.slug,
            kind.title,
            refusal.message,
            refusal.field,
            refusal.retry_after_ms,
            headers,
        )

    def body(self) -> bytes:
        """Its JSON; `field` and `retryAfterMs` only where they say something.

        >>> Problem(HTTPStatus.BAD_REQUEST, "invalid", "Invalid", "is required", "id"
        ...     ).body().decode()[:70]
        '{"type":"urn:fraud-scoring:problem:invalid","title":"Invalid","status"'
        """
        said: dict[str, Any] = {
            "type": TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.field:
            said["field"] = self.field
        if self.retry_after_ms:
            said["retryAfterMs"] = self.retry_after_ms
        return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()

    def to_http(self) -> bytes:
        """A whole response that ends its connection: of what reached no route."""
        body = self.body()
        return (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"content-type: {PROBLEM_JSON}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        ).encode() + body


def unsupported(detail: str, *headers: Header) -> Problem:
    """A content that no route takes."""
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "Unsupported media type",
        detail,
        headers=headers,
    )


def not_allowed(allowed: bytes) -> Problem:
    """A verb that this path does not have."""
    return Problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        f"send {allowed.decode()}",
        headers=((b"allow", allowed),),
    )


NO_ROUTE = Problem(
    HTTPStatus.NOT_FOUND, "no-route", "No such route", "/openapi.json lists the routes"
)
MALFORMED = Problem(
    HTTPStatus.BAD_REQUEST, "malformed", "Malformed HTTP", "this is no HTTP/1.1 request"
)
