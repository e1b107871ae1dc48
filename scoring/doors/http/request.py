"""One HTTP request, as the calls need it: who and when, query, content."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from scoring.core.decision.decision import Door
from scoring.doors.http.connection import Connection
from scoring.doors.http.problems import MALFORMED, unsupported
from scoring.errors import InvalidTransaction, MessageTooLarge
from scoring.wire.headers import TIMEOUT_HEADER

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# What an Envoy before us allows; it says so of itself.
_PROXY_TIMEOUT = b"x-envoy-expected-rq-timeout-ms"
_MS = re.compile(rb"[0-9]{1,9}")
_MS_PER_S = 1_000
_JSON = re.compile(
    rb"application/json[ \t]*(;[ \t]*charset[ \t]*=[ \t]*\"?utf-8\"?[ \t]*)?;?",
    re.IGNORECASE,
)
_QUERY_FIELDS_MAX = 16


class CallerLeft(Exception):
    """The connection ended before the request was whole."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request through HTTP: `calls.requests.Call`, with its content.

    Of a header that is given twice, the first counts. `path` are the values that
    are in its path; `arrived_at` is an instant of the monotonic clock.
    """

    scope: Scope
    receive: Receive
    headers: Mapping[bytes, bytes]
    path: Mapping[str, str]
    arrived_at: float
    monotonic: Callable[[], float]

    @property
    def connection(self) -> Connection:
        """What it came on."""
        connection: Connection = self.scope["state"]["connection"]
        return connection

    @property
    def door(self) -> Door:
        """This one."""
        return Door.HTTP

    def peer(self) -> str:
        """Its host, and the names of its certificate."""
        client = self.scope.get("client") or ("",)
        return " ".join([client[0], *self.names])

    @property
    def names(self) -> tuple[str, ...]:
        """Those of its verified certificate."""
        return self.connection.names

    @property
    def authorization(self) -> str:
        """Its token, as sent."""
        return self.headers.get(b"authorization", b"").decode("latin-1")

    @property
    def traceparent(self) -> str:
        """Its W3C trace context."""
        return self.headers.get(b"traceparent", b"").decode("latin-1")

    def remaining_s(self) -> float | None:
        """What is left of the time in its headers; raises `InvalidTransaction`."""
        said = [
            self.headers[name]
            for name in (TIMEOUT_HEADER.encode(), _PROXY_TIMEOUT)
            if name in self.headers
        ]
        if not said:
            return None
        if not all(map(_MS.fullmatch, said)):
            raise InvalidTransaction(
                TIMEOUT_HEADER, "must be whole milliseconds, at most nine digits"
            )
        spent_s = self.monotonic() - self.arrived_at
        return min(map(int, said)) / _MS_PER_S - spent_s

    def query(self, *known: str) -> dict[str, str]:
        """The query's fields under their first names; raises `InvalidTransaction`.

        A field is known by its name in the contract, `dry_run`, and as `dryRun`.
        """
        raw = self.scope["query_string"]
        if not raw:
            return {}
        names = {name: name for name in known} | {_camel(name): name for name in known}
        found: dict[str, str] = {}
        for name, value in _pairs(raw):
            own = names.get(name)
            if own is None:
                shown = name if name.isidentifier() and name.isascii() else "query"
                told = (
                    f"it may have {', '.join(known)}" if known else "it has none here"
                )
                raise InvalidTransaction(
                    shown[:64], f"is no field of the query; {told}"
                )
            if own in found:
                raise InvalidTransaction(own, "is given twice; send it once")
            found[own] = value
        return found

    async def content(self, bytes_max: int) -> bytes:
        """The whole JSON text.

        Raises `MessageTooLarge`, `Problem` for another type or an encoding, and
        `CallerLeft`.
        """
        self._refuse_other_types()
        length = self.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > bytes_max:
            raise MessageTooLarge(bytes_max)
        message = await self.receive()
        raw: bytes = message.get("body", b"")
        if message.get("more_body"):
            parts, size = [raw], len(raw)
            while message.get("more_body") and size <= bytes_max:
                message = await self.receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
            raw = b"".join(parts)
        if message["type"] == "http.disconnect":
            raise CallerLeft
        if len(raw) > bytes_max:
            raise MessageTooLarge(bytes_max)
        self.connection.unread = False
        return raw

    def refuse_without_one_host(self) -> None:
        """Raise `Problem` for HTTP/1.1 with no host, or with two (RFC 9112, 3.2)."""
        hosts = sum(name == b"host" for name, _ in self.scope["headers"])
        if hosts > 1 or (hosts == 0 and self.scope["http_version"] == "1.1"):
            raise MALFORMED

    def _refuse_other_types(self) -> None:
        encoding = self.headers.get(b"content-encoding", b"identity")
        if encoding.strip().lower() != b"identity":
            raise unsupported(
                "send the JSON as it is, without content-encoding",
                (b"accept-encoding", b"identity"),
            )
        if not _JSON.fullmatch(self.headers.get(b"content-type", b"").strip()):
            raise unsupported(
                "send JSON in UTF-8, as content-type: application/json",
                (b"accept", b"application/json"),
            )


def flag(value: str | None, name: str) -> bool:
    """A query's field that is true or false; raises `InvalidTransaction`.

    >>> flag("true", "dry_run"), flag(None, "dry_run")
    (True, False)
    """
    if value not in {None, "true", "false"}:
        raise InvalidTransaction(name, "must be true or false")
    return value == "true"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_QUERY_FIELDS_MAX,
        )
    except ValueError:  # not UTF-8, or too many
        raise InvalidTransaction("query", "is not percent-encoded UTF-8") from None
