"""Problem details (RFC 9457): what a caller of the control plane reads of a refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from scoring.doors.calls.refusals import refusal_of
from scoring.doors.http.problems import TYPE_PREFIX
from scoring.errors import (
    BadArtifact,
    ChangedMeanwhile,
    NotPossible,
    ReasonRequired,
    ScoringError,
)

CONTENT_TYPE = "application/problem+json"
_MS_PER_S = 1_000
# "file:12: rules.3.when: …", as `core.document` writes it; a field has no blanks.
_LOCATED = re.compile(
    r"(?:[^\n:]*:(?P<line>\d+): )?(?:(?P<field>[\w.-]+(?: \([\w-]+\)[\w.]*)?): )?"
)
_NAMED = re.compile(r" \([\w-]+\)")  # "rules.3 (velocity).when" is rules.3.when
# What has another status here, or no name of its own elsewhere; the nearest counts.
_OWN: Mapping[type[ScoringError], tuple[HTTPStatus, str, str]] = {
    BadArtifact: (HTTPStatus.UNPROCESSABLE_ENTITY, "refused-text", "Refused"),
    NotPossible: (HTTPStatus.CONFLICT, "not-possible", "Not possible"),
    ChangedMeanwhile: (
        HTTPStatus.CONFLICT,
        "changed-meanwhile",
        "Somebody else was first",
    ),
    ReasonRequired: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "reason-required",
        "A reason is required",
    ),
}
# What to do where the sentence itself does not say it.
_REMEDIES: Mapping[str, str] = {
    "invalid": "write it as /openapi.json says",
    "card-number": "send a token instead",
    "refused-text": "put right what each line names, and send it again",
    "not-possible": "read what it is now; GET shows its state",
    "changed-meanwhile": "read it again and repeat your change",
    "reason-required": "write the reason in the field why",
    "denied": "ask an admin for a role that may",
    "unauthenticated": "send a token that is valid: authorization: Bearer …",
    "not-found": "list what there is, and take its number from there",
    "too-large": "send it in smaller parts",
    "unavailable": "repeat it; nothing was changed",
    "internal": "repeat it once; the process's log says where it failed",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where, and what to do; `line` is 0 where there is none.

    A remedy that is empty is the problem's own.
    """

    detail: str
    field: str = ""
    line: int = 0
    remedy: str = ""

    @classmethod
    def told(cls, sentence: str, field: str = "") -> Fault:
        """A sentence of ours: place, what is wrong, and behind "; " what to do.

        >>> Fault.told("p.yaml:3: rules.0.id: 'a' is taken; rename one of the two")
        Fault(detail="'a' is taken", field='rules.0.id', line=3, \
remedy='rename one of the two')
        >>> Fault.told("why: at most 2000 characters", "why").detail
        'at most 2000 characters'
        """
        place = _LOCATED.match(sentence)
        assert place is not None
        detail, _, remedy = sentence[place.end() :].partition("; ")
        where = field or _NAMED.sub("", place["field"] or "")
        return cls(detail, where, int(place["line"] or 0), remedy)

    def members(self) -> dict[str, Any]:
        """What there is of it, as members of a problem."""
        members = {
            "detail": self.detail,
            "field": self.field,
            "line": self.line,
            "remedy": self.remedy,
        }
        return {name: value for name, value in members.items() if value}


class ControlProblem(Exception):
    """A refusal as HTTP says it; `more` are members beside the standard ones."""

    def __init__(
        self,
        kind: tuple[HTTPStatus, str, str],
        faults: Sequence[Fault],
        *,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(faults[0].detail)
        self.status, self.slug, self.title = kind
        self.faults = tuple(faults)
        self.more = dict(more or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Its JSON: the first fault's members, and each under `errors` if several."""
        first = self.faults[0].members()
        first.setdefault("remedy", _REMEDIES.get(self.slug, _REMEDIES["invalid"]))
        told = {
            "type": TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status.value,
            **first,
            **self.more,
        }
        if len(self.faults) > 1:
            told["errors"] = [fault.members() for fault in self.faults]
        return told

    def response(self) -> Response:
        """The answer."""
        content = json.dumps(self.body(), ensure_ascii=False).encode()
        return Response(
            content, self.status.value, self.headers, media_type=CONTENT_TYPE
        )


def problem(
    status: HTTPStatus, slug: str, detail: str, *, field: str = "", remedy: str = ""
) -> ControlProblem:
    """A problem of the API's own, with one fault."""
    title = slug.replace("-", " ").capitalize()
    return ControlProblem((status, slug, title), [Fault(detail, field, 0, remedy)])


def problem_of(error: Exception, *, conditional: bool = False) -> ControlProblem:
    """What a caller learns of an error; `conditional`: the request had If-Match."""
    if isinstance(error, ControlProblem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    own = next((_OWN[kind] for kind in type(error).__mro__ if kind in _OWN), None)
    if own is None:
        return _refused(error)
    status, slug, title = own
    if isinstance(error, ChangedMeanwhile) and conditional:
        status = HTTPStatus.PRECONDITION_FAILED
    assert isinstance(error, ScoringError)
    if isinstance(error, BadArtifact):
        faults = [Fault.told(line) for line in str(error).splitlines()]
    else:
        faults = [Fault.told(str(error), error.field)]
    return ControlProblem((status, slug, title), faults, more=_more(error))


def _more(error: ScoringError) -> dict[str, Any]:
    if isinstance(error, ChangedMeanwhile) and error.changes:
        return {"changes": list(error.changes)}
    if isinstance(error, ReasonRequired):
        return {"because": list(error.because)}
    return {}


def _refused(error: Exception) -> ControlProblem:
    refusal = refusal_of(error)
    kind = refusal.kind
    headers = {}
    if kind.status is HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if refusal.retry_after_ms:
        headers["retry-after"] = str(ceil(refusal.retry_after_ms / _MS_PER_S))
    return ControlProblem(
        (kind.status, kind.slug, kind.title),
        [Fault.told(refusal.message, refusal.field)],
        headers=headers,
    )


def _invalid(error: RequestValidationError) -> ControlProblem:
    kind = (HTTPStatus.BAD_REQUEST, "invalid", "Invalid request")
    return ControlProblem(kind, [_fault(dict(each)) for each in error.errors()])


# pydantic's words where they speak of Python, with what to do.
_WORDS: Mapping[str, tuple[str, str]] = {
    "missing": ("is required", "send it"),
    "extra_forbidden": ("is no field of this request", "leave it out"),
    "string_type": ("is no text", "put it in quotes"),
    "int_type": ("is no whole number", "write it without quotes"),
    "int_parsing": ("is no whole number", "write its digits alone"),
    "float_type": ("is no number", "write it without quotes"),
    "bool_type": ("is neither true nor false", "write one of them without quotes"),
    "model_attributes_type": ("is no object", "send {…} with the fields"),
    "dict_type": ("is no object", "send {…}"),
    "list_type": ("is no list", "send […]"),
}


def _fault(error: Mapping[str, Any]) -> Fault:
    """One mistake in a request, with no value of it: one may be a card's number."""
    place = ".".join(str(step) for step in error["loc"][1:]) or str(error["loc"][0])
    if error["type"] in _WORDS:
        detail, remedy = _WORDS[error["type"]]
        return Fault(detail, place, 0, remedy)
    said = re.sub("^(Input|String|Value) should", "should", str(error["msg"]))
    detail, _, remedy = said.removeprefix("Value error, ").partition("; ")
    return Fault(detail, place, 0, remedy or "change it so that it is")
