"""From verb and path to what answers: exact paths, and a few with values in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from scoring.doors.http.problems import NO_ROUTE, not_allowed
from scoring.errors import InvalidTransaction

E = TypeVar("E")
_Verbs = dict[str, E]
# A value in a path is a token of at most 128 characters, four bytes each, escaped.
_SEGMENTS_MAX = 8


@dataclass(slots=True)
class Router(Generic[E]):
    """Endpoints by path and verb; HEAD is what GET is.

    Paths are compared as they were sent, before anything in them is unescaped: an id
    may hold a slash, as %2F.
    """

    _exact: dict[bytes, _Verbs[E]] = field(default_factory=dict)
    _with_values: list[tuple[tuple[bytes, ...], _Verbs[E]]] = field(
        default_factory=list
    )

    def add(self, verb: str, path: str, endpoint: E) -> None:
        """Serve a path; what is in braces is a value of that name.

        >>> router = Router(); router.add("GET", "/v1/decisions/{id}", "look up")
        >>> router.at("GET", b"/v1/decisions/a%2Fb")
        ('look up', {'id': 'a/b'})
        """
        if "{" not in path:
            verbs = self._exact.setdefault(path.encode(), {})
        else:
            segments = tuple(path.encode().split(b"/"))
            known = [verbs for parts, verbs in self._with_values if parts == segments]
            if not known:
                known = [{}]
                self._with_values.append((segments, known[0]))
            verbs = known[0]
        verbs[verb.upper()] = endpoint

    def route_of(self, raw_path: bytes) -> str:
        """The path as it was added, whatever the verb; "" for none of ours.

        >>> router = Router(); router.add("GET", "/v1/decisions/{id}", "look up")
        >>> router.route_of(b"/v1/decisions/7"), router.route_of(b"/v1")
        ('/v1/decisions/{id}', '')
        """
        if raw_path in self._exact:
            return raw_path.decode()
        segments = raw_path.split(b"/", _SEGMENTS_MAX)
        for parts, _ in self._with_values:
            if len(parts) == len(segments) and all(map(_fits, parts, segments)):
                return b"/".join(parts).decode()
        return ""

    def at(self, verb: str, raw_path: bytes) -> tuple[E, Mapping[str, str]]:
        """What answers, and the values in the path.

        Raises `Problem` for no such route or verb, `InvalidTransaction` for a value
        that is no text.
        """
        verbs = self._exact.get(raw_path)
        if verbs is not None:
            return _of(verbs, verb), {}
        segments = raw_path.split(b"/", _SEGMENTS_MAX)
        for parts, verbs in self._with_values:
            if len(parts) == len(segments) and all(map(_fits, parts, segments)):
                return _of(verbs, verb), _values(parts, segments)
        raise NO_ROUTE


def _of(verbs: _Verbs[E], verb: str) -> E:
    found = verbs.get("GET" if verb == "HEAD" else verb)
    if found is None:
        allowed = [*verbs, "HEAD"] if "GET" in verbs else [*verbs]
        raise not_allowed(", ".join(allowed).encode())
    return found


def _fits(part: bytes, segment: bytes) -> bool:
    return part == segment or (part.startswith(b"{") and segment != b"")


def _values(parts: tuple[bytes, ...], segments: list[bytes]) -> dict[str, str]:
    found = {}
    for part, segment in zip(parts, segments, strict=True):
        if part.startswith(b"{"):
            name = part[1:-1].decode()
            try:
                found[name] = unquote_to_bytes(segment).decode()
            except UnicodeDecodeError:
                raise InvalidTransaction(name, "is not percent-encoded UTF-8") from None
    return found
