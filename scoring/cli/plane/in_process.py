"""The control plane's API in this process, as commands without an address call it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from scoring.client.control_plane import Reply

if TYPE_CHECKING:
    from scoring.control.api.requests import AsgiApp, Message


@dataclass(frozen=True, slots=True)
class InProcess:
    """The API in this process, on a database that it opened; by a token if one is."""

    app: AsgiApp
    token: str = field(default="", repr=False)

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """See `Transport`."""
        return asyncio.run(self._exchanged(method, target, headers, body))

    async def _exchanged(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        path, _, query = target.partition("?")
        if self.token:
            headers = {**headers, "authorization": f"Bearer {self.token}"}
        scope = {
            "type": "http",
            # By 2.4 nobody listens for a caller who leaves: a stream is sent whole.
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers.items()],
            "client": ("shell", 0),
            "server": None,
            "state": {},
        }
        received = [{"type": "http.request", "body": body, "more_body": False}]
        told: list[Message] = []

        async def receive() -> Message:
            return received.pop() if received else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            told.append(message)

        await self.app(scope, receive, send)
        start, *parts = told
        known = {k.decode().lower(): v.decode("latin-1") for k, v in start["headers"]}
        content = b"".join(part.get("body", b"") for part in parts)
        return Reply(start["status"], known, content)
