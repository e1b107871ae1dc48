"""Files into managed lists over HTTP: read, applied, undone; each may take a while."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import Field

from scoring.control.api.lists import REVISION_MAX, DoWish, ListName, Text, committed
from scoring.control.api.plane import Limit, Visiting, Visitor
from scoring.control.api.requests import StrictRoute
from scoring.control.api.views import Page, View
from scoring.control.api.wishes import Why, Wish
from scoring.control.desks.list_desk import FileWish
from scoring.control.domain.list_imports import ImportState, ListImport
from scoring.control.domain.people import Right

router = APIRouter(prefix="/v1", tags=["lists"], route_class=StrictRoute)
# Of a file in JSON: a million entries of 60 characters, twice over.
FILE_BYTES_MAX = 128 * 1024 * 1024
_WAIT_S, _WAIT_S_MAX = 10.0, 30.0
ImportNumber = Annotated[int, Path(ge=1, le=REVISION_MAX)]
WaitS = Annotated[
    float,
    Field(
        ge=0,
        le=_WAIT_S_MAX,
        description="Seconds to wait for the end; what takes longer is answered 202, "
        "continues, and is asked for by its number.",
    ),
]


class ImportView(View):
    """A file that is read beside its list, and what it changes.

    `sha256` is of the file's bytes, empty until they are read.
    While this process works on it, `running` is true and `progress` the part that is
    done, 0 to 1, null where nobody can say; `problems` say why that failed.
    """

    number: int
    list: str
    source: str
    state: ImportState
    replaces: bool
    revision: int
    added: int
    changed: int
    removed: int
    unchanged: int
    repeated: int
    sha256: str
    by: str
    at_ms: int
    running: bool = False
    progress: float | None = None
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, import_: ListImport, **job: Any) -> ImportView:
        """As the desk tells it."""
        values = asdict(import_) | job
        values |= values.pop("diff")
        known = cls.model_fields.keys() & values.keys()
        return cls(**{name: values[name] for name in known})


class ImportWish(Wish):
    """A file to be read: CSV or JSON lines, as a text."""

    source: Text
    content: Annotated[str, Field(max_length=FILE_BYTES_MAX)]
    replaces: bool = False
    wait_s: WaitS = _WAIT_S
    why: Why = ""


class GoOnWish(DoWish):
    """Something to be done with what was read, which may take a while."""

    wait_s: WaitS = _WAIT_S


_LATER: dict[int | str, dict[str, Any]] = {
    HTTPStatus.ACCEPTED: {"model": ImportView, "description": "It continues."}
}


@router.get("/lists/{name}/imports", operation_id="listImports")
def list_imports(by: Visiting, name: ListName, limit: Limit = 50) -> Page[ImportView]:
    """List the newest files that were read for a list."""
    with by.lists.read(by.person) as work:
        work.lists.named(name)
        found = work.imports.newest(name, count_max=limit)
    return Page(items=[_view(by, each) for each in found], next=None)


@router.get("/lists/{name}/imports/{number}", operation_id="getImport")
def get_import(by: Visiting, name: ListName, number: ImportNumber) -> ImportView:
    """Get an import: how far it is, and what came of it."""
    return _view(by, _numbered(by, name, number))


@router.post(
    "/lists/{name}/imports",
    operation_id="readFile",
    status_code=HTTPStatus.CREATED,
    responses=_LATER,
)
def read_file(
    by: Visiting, name: ListName, wish: ImportWish, response: Response
) -> ImportView:
    """Read a file beside its list and say what it would change; nothing is changed."""
    of_it = FileWish(source=wish.source, replaces=wish.replaces)
    begun = by.lists.begin(by.because(wish.why), name, of_it)
    lines = io.BytesIO(wish.content.encode())
    entries = wish.content.count("\n")

    def read(tell: Callable[[int], None]) -> ListImport:
        return by.lists.read_lines(begun, lines, progress=tell)

    jobs = by.plane.jobs
    done = jobs.done(begun.number, read, wait_s=wish.wait_s, steps=2 * entries)
    return _answered(by, begun, done, response)


@router.post(
    "/lists/{name}/imports/{number}/application",
    operation_id="applyImport",
    responses=_LATER,
)
def apply_import(
    by: Visiting,
    name: ListName,
    number: ImportNumber,
    wish: GoOnWish,
    response: Response,
) -> ImportView:
    """Apply what was read: all of it, in one revision."""
    who = by.because(wish.why)

    def apply(_: Callable[[int], None]) -> ListImport:
        applied = by.lists.apply(who, name, number, revision=wish.revision)
        return committed(by, applied)

    before = _changeable(by, name, number).to_be_applied()
    done = by.plane.jobs.done(number, apply, wait_s=wish.wait_s)
    return _answered(by, before, done, response)


@router.post(
    "/lists/{name}/imports/{number}/undoing",
    operation_id="undoImport",
    responses=_LATER,
)
def undo_import(
    by: Visiting,
    name: ListName,
    number: ImportNumber,
    wish: GoOnWish,
    response: Response,
) -> ImportView:
    """Bring back what an import changed; what was changed since stays as it is."""
    who = by.because(wish.why)

    def undo(_: Callable[[int], None]) -> ListImport:
        return committed(by, by.lists.undo(who, name, number))

    before = _changeable(by, name, number).to_be_undone()
    done = by.plane.jobs.done(number, undo, wait_s=wish.wait_s)
    return _answered(by, before, done, response)


def _changeable(by: Visitor, name: str, number: int) -> ListImport:
    """An import, for whoever may change it: before any work on it is begun."""
    by.person.needs(Right.CHANGE_LISTS)
    return _numbered(by, name, number)


def _numbered(by: Visitor, name: str, number: int) -> ListImport:
    with by.lists.read(by.person) as work:
        return work.imports.numbered(name, number)


def _answered(
    by: Visitor, before: ListImport, done: ListImport | None, response: Response
) -> ImportView:
    if done is not None:
        return ImportView.of(done)
    response.status_code = HTTPStatus.ACCEPTED
    path = f"/v1/lists/{before.list}/imports/{before.number}"
    response.headers["location"] = path
    return _view(by, before)


def _view(by: Visitor, import_: ListImport) -> ImportView:
    job = by.plane.jobs.of(import_.number)
    if job is None:
        return ImportView.of(import_)
    told = {"running": job.running, "progress": job.progress, "problems": job.problems}
    return ImportView.of(import_, **told)
