"""Parts of the HTTP tests: the door beside gRPC's, and a client that hides nothing."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from grpc_parts import Door, open_door

from scoring.doors.http.server import HttpServer
from scoring.v1.transaction_pb2 import Label, Transaction
from scoring.wiring.http_app import http_door_from

JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str, str]:
        """Status, the kind of the problem, and its field."""
        assert self.headers["content-type"] == PROBLEM, self
        problem = self.json
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["detail"]
        kind = problem["type"].removeprefix("urn:fraud-scoring:problem:")
        return self.status, kind, problem.get("field", "")


async def read_reply(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Reply:
    """The next response of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    length = 0 if bodiless else int(headers.get("content-length", 0))
    return Reply(int(first.split()[1]), headers, await reader.readexactly(length))


def message(verb: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """A request as it goes over the wire; `content_type` is written content-type."""
    known = {"host": "test", **({} if body is None else {"content-type": JSON})}
    if body is not None:
        known["content-length"] = str(len(body))
    known |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{verb} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in known.items() if v)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


@dataclass(frozen=True, slots=True)
class HttpDoor:
    """Both synchronous doors of one service."""

    grpc: Door
    server: HttpServer
    context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        """Short: all that is within is no use to whoever reads of a failure."""
        return f"<doors at {self.grpc.server.address} and {self.server.address}>"

    @asynccontextmanager
    async def connected(self, context: ssl.SSLContext | None = None):
        """A connection of its own."""
        host, _, port = self.server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(
            host, int(port), ssl=context or self.context
        )
        try:
            yield reader, writer
        finally:
            writer.close()

    async def raw(self, request: bytes, *, within_s: float = 10.0) -> Reply:
        """The reply to bytes as they are."""
        async with asyncio.timeout(within_s), self.connected() as (reader, writer):
            writer.write(request)
            return await read_reply(reader, bodiless=request.startswith(b"HEAD "))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.raw(message("GET", path, **headers))

    async def post(self, path: str, body: object, **headers: str) -> Reply:
        """Send a value as JSON, bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.raw(message("POST", path, raw, **headers))

    async def check(self, transaction: Transaction, query="", **headers: str) -> Reply:
        return await self.post(f"/v1/checks{query}", said(transaction), **headers)


def said(sent: Transaction | Label) -> dict[str, Any]:
    """A message as canonical JSON says it."""
    return json_format.MessageToDict(sent)


@asynccontextmanager
async def open_doors(model_dir: Path, store=None, **known) -> AsyncIterator[HttpDoor]:
    """Serve both on loopback; see `open_door`."""
    async with open_door(
        model_dir, store, **{"http_address": "127.0.0.1:0", **known}
    ) as door:
        server = http_door_from(door.service, door.calls)
        await server.start()
        try:
            yield HttpDoor(door, server)
        finally:
            await server.drain(notice_s=0, grace_s=1)
