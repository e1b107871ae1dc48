"""What every request is held to before a router sees it: size, kind, JSON."""

from __future__ import annotations

import json
import re
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from scoring.control.api.plane import person_of
from scoring.control.api.problems import ControlProblem, Fault, problem, problem_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
_ODD = re.compile("[\0\ud800-\udfff]")
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# No answer belongs in a cache, none is run by a browser as anything else than it is,
# and no page of somebody else's frames it.
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


@dataclass(frozen=True, slots=True)
class BoundedBodies:
    """Refuses contents that are too large, before they are in memory.

    `bytes_max` holds for every path, but for those that begin as `larger` says.
    """

    app: AsgiApp
    bytes_max: int
    larger: Mapping[str, int]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a content that is counted as it comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:
            await _no_target().response()(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        declared = _declared_length(scope)
        if declared > limit:
            await _too_large(limit).response()(scope, receive, send)
            return
        scope["state"]["body_limit"] = limit
        await self.app(scope, receive, _with_headers(send))

    def _limit(self, path: str) -> int:
        own = [
            limit for begins, limit in self.larger.items() if path.startswith(begins)
        ]
        return max(own, default=self.bytes_max)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return sending


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _no_target() -> ControlProblem:
    return problem(
        HTTPStatus.BAD_REQUEST,
        "malformed",
        "the target holds NUL, which no database keeps",
        remedy="leave it out",
    )


def _too_large(limit: int) -> ControlProblem:
    return problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too-large",
        f"the content has more than {limit} bytes",
        remedy="send it in smaller parts",
    )


class StrictRequest(Request):
    """A request whose JSON says each name once, and only what JSON can say."""

    async def body(self) -> bytes:
        """The content; raises `ControlProblem` beyond the limit of its path."""
        if not hasattr(self, "_body"):
            limit = self.scope["state"].get("body_limit", 0)
            parts, size = [], 0
            async for part in self.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """The content as JSON; raises `ControlProblem` with its line."""
        if not hasattr(self, "_json"):
            # Of a list's file this takes seconds, which others do not wait.
            self._json = await to_thread(parsed, await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route whose requests are `StrictRequest`s, with a content of JSON.

    Whatever is raised becomes a problem here, before a framework logs what was sent.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers one request."""
        answer = super().get_route_handler()

        async def strict(request: Request) -> Response:
            try:
                read = StrictRequest(request.scope, request.receive)
                if request.method in _WRITES and self.body_field is not None:
                    # First of all: nothing of a stranger's is read into memory.
                    await to_thread(person_of, request)
                    _refuse_other_content(request)
                    await read.json()  # here: what a framework raises of it says less
                return await answer(read)
            except Exception as error:  # noqa: BLE001 - the edge: all is translated
                conditional = "if-match" in request.headers
                return problem_of(error, conditional=conditional).response()

        return strict


def _refuse_other_content(request: Request) -> None:
    """Raise `ControlProblem` unless the content is JSON: no form of a strange page
    can be sent as that without asking first.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "the content is not declared as JSON",
            field="content-type",
            remedy="send content-type: application/json",
        )


def parsed(content: bytes) -> Any:
    """JSON in UTF-8, each name of an object once; raises `ControlProblem`.

    >>> parsed(b'{"a": [1, null]}')
    {'a': [1, None]}
    """
    try:
        text = content.decode()
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse_constant
        )
        if "\\u" in text:
            _refuse_odd_texts(found)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _no_json("is not UTF-8", line, "encode it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise _no_json(f"is no JSON: {error.msg}", error.lineno, "") from error
    except RecursionError as error:
        raise _no_json("is nested too deeply", 1, "send it flatter") from error
    except ValueError as error:
        raise _no_json(str(error), 0, "") from error
    return found


def _refuse_odd_texts(value: Any) -> None:
    """Raise `ValueError` for what no database keeps: NUL, half of a surrogate pair."""
    if isinstance(value, str):
        if _ODD.search(value):
            raise ValueError("holds NUL or half of a surrogate pair in a text")
    elif isinstance(value, dict):
        _refuse_odd_texts([*value, *value.values()])
    elif isinstance(value, list):
        for each in value:
            _refuse_odd_texts(each)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("says a name twice")
    return found


def _refuse_constant(_name: str) -> Any:
    raise ValueError("holds NaN or Infinity, which JSON does not have")


def _no_json(detail: str, line: int, remedy: str) -> ControlProblem:
    kind = (HTTPStatus.BAD_REQUEST, "malformed", "Malformed content")
    fault = Fault(detail, "body", line, remedy or "send one JSON object")
    return ControlProblem(kind, [fault])
