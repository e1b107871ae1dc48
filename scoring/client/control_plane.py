"""Requests to the control plane's API, by a transport of whoever calls."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from scoring.errors import BadArtifact, ScoringError, Unavailable

_JSON = "application/json"


class Refused(ScoringError):
    """The control plane refused a request; the message has each fault in a line.

    `problem` is what it answered (RFC 9457), empty where it was none.
    """

    def __init__(
        self, message: str, status: int, problem: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The content, a JSON object; None where there is none.

        Raises `Unavailable` for what no control plane says.
        """
        if not self.body:
            return None
        try:
            content = json.loads(self.body)
        except ValueError as error:
            raise Unavailable(_no_control_plane("no JSON")) from error
        if not isinstance(content, dict):
            raise Unavailable(_no_control_plane("JSON that is no object"))
        return content

    @property
    def etag(self) -> str:
        """What names the state that was read."""
        return self.headers.get("etag", "")


class Transport(Protocol):
    """How requests reach the control plane."""

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """One request and its answer, whatever its status; raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class ControlApi:
    """Requests by their JSON; a refusal is raised as `Refused`."""

    transport: Transport

    def get(self, *path: str | int, **query: Any) -> Reply:
        """Read; what is empty in the query is left out."""
        given = {
            name: value for name, value in query.items() if value not in ("", None)
        }
        target = _target(path) + (f"?{urlencode(given)}" if given else "")
        return self._sent("GET", target)

    def post(self, *path: str | int, body: Mapping[str, Any], etag: str = "") -> Reply:
        """Do something; `etag` is that of what was read."""
        return self._sent("POST", _target(path), body, etag)

    def put(self, *path: str | int, body: Mapping[str, Any], etag: str) -> Reply:
        """Put something in place of what was read."""
        return self._sent("PUT", _target(path), body, etag)

    def delete(self, *path: str | int) -> Reply:
        """Take something away."""
        return self._sent("DELETE", _target(path))

    def items(self, *path: str | int, **query: Any) -> Iterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor = None
        while True:
            page = self.get(*path, **query, cursor=cursor).json
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def _sent(
        self,
        method: str,
        target: str,
        body: Mapping[str, Any] | None = None,
        etag: str = "",
    ) -> Reply:
        headers = {"accept": _JSON} | ({"if-match": etag} if etag else {})
        content = b""
        if body is not None:
            headers["content-type"] = _JSON
            content = json.dumps(body, ensure_ascii=False).encode()
        reply = self.transport.exchange(method, target, headers, content)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            problem = _problem(reply)
            raise Refused(_told(reply.status, problem), reply.status, problem)
        _refuse_of_others(reply)
        return reply


def _target(path: tuple[str | int, ...]) -> str:
    """The path of its parts.

    >>> _target(("policies", 3, "diff")), _target(("people", "a/b"))
    ('/v1/policies/3/diff', '/v1/people/a%2Fb')
    """
    return "/v1/" + "/".join(quote(str(part), safe="") for part in path)


def _refuse_of_others(reply: Reply) -> None:
    """Raise `Unavailable` for an answer that only something else can have given.

    A proxy sends on to another address, or to its own page of a login.
    """
    if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
        leads = reply.headers.get("location", "")
        told = f"{reply.status}" + (f", which leads to {leads}" if leads else "")
        raise Unavailable(_no_control_plane(told))
    kind = reply.headers.get("content-type", "")
    if reply.status != HTTPStatus.NO_CONTENT and "json" not in kind:
        raise Unavailable(_no_control_plane(kind or "no content"))


def _no_control_plane(told: str) -> str:
    return f"the answer is {told}; is there a control plane at this address?"


def _problem(reply: Reply) -> Mapping[str, Any]:
    try:
        problem = reply.json or {}
    except Unavailable:
        return {}
    return problem if "detail" in problem else {}


def _told(status: int, problem: Mapping[str, Any]) -> str:
    """Each fault of a problem in a line, then what has changed.

    >>> _told(409, {"detail": "is live", "remedy": "draft a new one"})
    'is live; draft a new one'
    """
    if not problem:
        return f"the control plane answers {status}; is it one, at this address?"
    faults = problem.get("errors") or [problem]
    lines = [_fault(fault) for fault in faults]
    return "\n".join([*lines, *problem.get("changes", ())])


def _fault(fault: Mapping[str, Any]) -> str:
    line = f"line {fault['line']}: " if "line" in fault else ""
    place = f"{fault['field']}: " if "field" in fault else ""
    remedy = f"; {fault['remedy']}" if "remedy" in fault else ""
    return f"{line}{place}{fault['detail']}{remedy}"


def _is_near(host: str | None) -> bool:
    """Whether it is this machine.

    >>> _is_near("127.0.0.1"), _is_near("::1"), _is_near("control.example.org")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class OverHttp:
    """A control plane at a URL, by a token; `roots` of its certificate are PEM.

    Raises `BadArtifact` for http:// to another machine, where whoever listens would
    read the token, unless `plain` says that nobody does, and for what is no URL.
    Raises `Unavailable` where no answer comes, or nothing more for `timeout_s`.
    """

    url: str
    token: str = field(repr=False)
    roots: Path | None = None
    plain: bool = False
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse to send a token where it can be read."""
        try:
            parts = urlsplit(self.url)
            _ = parts.port  # which is read no sooner
        except ValueError as error:
            raise BadArtifact(f"{self.url}: is no URL: {error}") from error
        if parts.scheme == "http" and not self.plain and not _is_near(parts.hostname):
            raise BadArtifact(
                f"{self.url}: your token would be sent unencrypted; write https://, or "
                "set SCORING_CONTROL_PLAIN_HTTP=true where nobody else listens"
            )

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """See `Transport`."""
        parts = urlsplit(self.url)
        known = {**headers, "authorization": f"Bearer {self.token}"}
        try:
            with closing(self._connection(parts.scheme, parts.netloc)) as connection:
                connection.request(method, parts.path.rstrip("/") + target, body, known)
                answer = connection.getresponse()
                told = {name.lower(): value for name, value in answer.getheaders()}
                return Reply(answer.status, told, answer.read())
        # UnicodeError: a host that cannot be a name of the DNS.
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise Unavailable(
                f"{self.url}: the control plane does not answer: {error}; does "
                "`scoring control` run there?"
            ) from error

    def _connection(self, scheme: str, place: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(place, timeout=self.timeout_s)
        if scheme == "https":
            context = ssl.create_default_context(cafile=self.roots)
            return http.client.HTTPSConnection(
                place, timeout=self.timeout_s, context=context
            )
        raise Unavailable(f"{self.url}: write http://host:port or https://host:port")
