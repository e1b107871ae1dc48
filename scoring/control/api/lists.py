"""Managed lists over HTTP: lists, entries, and files with a dry run and an undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from scoring.control.api.plane import Limit, Visiting, Visitor
from scoring.control.api.requests import StrictRoute
from scoring.control.api.views import Page, View
from scoring.control.api.wishes import Why, Wish
from scoring.control.desks.list_desk import EntryWish, ListAnswer
from scoring.control.domain.managed_lists import KeptList, ListedEntry, ListKind
from scoring.core.release.list_release import FOREVER_MS
from scoring.errors import NotFound

T = TypeVar("T")
router = APIRouter(prefix="/v1", tags=["lists"], route_class=StrictRoute)
_NAME_CHARACTERS_MAX, _TOKEN_CHARACTERS_MAX, REVISION_MAX = 64, 256, 2**53
_EXPORTED_MAX = 5_000  # entries that are in memory at once
NDJSON = "application/x-ndjson"
ListName = Annotated[str, Path(max_length=_NAME_CHARACTERS_MAX)]
Text = Annotated[str, Field(max_length=_TOKEN_CHARACTERS_MAX * 4)]
Revision = Annotated[
    int | None,
    Field(
        ge=0,
        le=REVISION_MAX,
        description="The list's revision that was read; another one is refused.",
    ),
]


class ListView(View):
    """A list without its entries."""

    name: str
    kind: ListKind
    field: str
    about: str
    revision: int
    count: int
    by: str
    created_at_ms: int

    @classmethod
    def of(cls, kept: KeptList) -> ListView:
        """As the desk tells it."""
        values = asdict(kept)
        return cls(**{name: values[name] for name in cls.model_fields})


class ListedView(View):
    """A token on a list; `until_ms` is event time, null for ever."""

    token: str
    until_ms: int | None
    reason: str
    author: str
    source: str
    added_at_ms: int

    @classmethod
    def of(cls, entry: ListedEntry) -> ListedView:
        """As the desk tells it."""
        values = asdict(entry)
        until_ms = None if entry.until_ms == FOREVER_MS else entry.until_ms
        return cls(**values | {"until_ms": until_ms})


class ChangedView(View):
    """A list as it is now; `changed` is false where it was so already."""

    list: ListView
    changed: bool
    entry: ListedView | None

    @classmethod
    def of(cls, answer: ListAnswer) -> ChangedView:
        """As the desk tells it."""
        entry = None if answer.entry is None else ListedView.of(answer.entry)
        return cls(list=ListView.of(answer.info), changed=answer.changed, entry=entry)


class ListWish(Wish):
    """A list to be made."""

    name: Annotated[str, Field(max_length=_NAME_CHARACTERS_MAX)]
    kind: Text
    field: Text
    about: Text = ""
    why: Why = ""


class PutWish(Wish):
    """A token to be put on a list; `expires` is an instant, empty for never."""

    token: Text
    expires: Text = ""
    reason: Text = ""
    source: Text = "by hand"
    revision: Revision = None
    why: Why = ""


class TakeOffWish(Wish):
    """A token to be taken off a list."""

    token: Text
    revision: Revision = None
    why: Why = ""


class DoWish(Wish):
    """Something to be done with what was read."""

    revision: Revision = None
    why: Why = ""


@router.get("/lists", operation_id="listLists")
def list_lists(by: Visiting) -> Page[ListView]:
    """List every managed list."""
    with by.lists.read(by.person) as work:
        return Page(items=[ListView.of(each) for each in work.lists.all()], next=None)


@router.post("/lists", operation_id="createList", status_code=HTTPStatus.CREATED)
def create_list(by: Visiting, wish: ListWish) -> ListView:
    """Make a list without entries."""
    made = by.lists.create(
        by.because(wish.why),
        wish.name,
        kind=wish.kind,
        field=wish.field,
        about=wish.about,
    )
    return committed(by, ListView.of(made))


@router.get("/lists/{name}", operation_id="getList")
def get_list(by: Visiting, name: ListName) -> ListView:
    """Get a list without its entries."""
    with by.lists.read(by.person) as work:
        return ListView.of(work.lists.named(name))


@router.post("/lists/{name}/deletion", operation_id="deleteList")
def delete_list(by: Visiting, name: ListName, wish: DoWish) -> Page[ListView]:
    """Delete a list, unless a policy that runs names it; answers those left."""
    by.lists.delete(by.because(wish.why), name, revision=wish.revision)
    return committed(by, list_lists(by))


@router.get("/lists/{name}/entries", operation_id="listEntries")
def list_entries(
    by: Visiting,
    name: ListName,
    limit: Limit = 50,
    cursor: Annotated[
        str,
        Query(
            max_length=_TOKEN_CHARACTERS_MAX, description="`next` of the page before."
        ),
    ] = "",
    prefix: Annotated[
        str,
        Query(max_length=_TOKEN_CHARACTERS_MAX, description="How their tokens begin."),
    ] = "",
) -> Page[ListedView]:
    """List entries in the order of their tokens."""
    with by.lists.read(by.person) as work:
        work.lists.named(name)
        found = work.lists.entries(
            name, after=cursor, count_max=limit + 1, prefix=prefix
        )
    items = [ListedView.of(each) for each in found[:limit]]
    return Page(items=items, next=items[-1].token if len(found) > limit else None)


@router.post("/lists/{name}/look-up", operation_id="lookUpEntry")
def look_up_entry(by: Visiting, name: ListName, wish: TakeOffWish) -> ListedView:
    """Get the entry of a token: it is in the content, so that no log has it."""
    with by.lists.read(by.person) as work:
        work.lists.named(name)
        entry = work.lists.entry(name, wish.token)
    if entry is None:
        raise NotFound(f"it is not on list {name!r}")
    return ListedView.of(entry)


@router.post("/lists/{name}/entries", operation_id="putEntry")
def put_entry(by: Visiting, name: ListName, wish: PutWish) -> ChangedView:
    """Put a token on a list, in place of what it had."""
    entry = EntryWish(
        token=wish.token, expires=wish.expires, reason=wish.reason, source=wish.source
    )
    answer = by.lists.put(by.because(wish.why), name, entry, revision=wish.revision)
    return committed(by, ChangedView.of(answer))


@router.post("/lists/{name}/removals", operation_id="takeOffEntry")
def take_off_entry(by: Visiting, name: ListName, wish: TakeOffWish) -> ChangedView:
    """Take a token off a list."""
    answer = by.lists.take_off(
        by.because(wish.why), name, wish.token, revision=wish.revision
    )
    return committed(by, ChangedView.of(answer))


@router.get(
    "/lists/{name}/export",
    operation_id="exportList",
    response_class=StreamingResponse,
    responses={HTTPStatus.OK: {"content": {NDJSON: {}}}},
)
def export_list(by: Visiting, name: ListName) -> StreamingResponse:
    """Export every entry as JSON lines, as an import reads them."""
    with by.lists.read(by.person) as work:
        work.lists.named(name)
    return StreamingResponse(_lines(by, name), media_type=NDJSON)


def _lines(by: Visitor, name: str) -> Iterator[str]:
    # By pages: whoever reads slowly would keep a connection of the few there are. What
    # is changed meanwhile is there or not, each entry whole.
    after = ""
    while True:
        with by.lists.read(by.person) as work:
            page = work.lists.entries(name, after=after, count_max=_EXPORTED_MAX)
        for entry in page:
            yield json.dumps(entry.as_line()) + "\n"
        if len(page) < _EXPORTED_MAX:
            return
        after = page[-1].token


def committed(by: Visitor, told: T) -> T:
    """What is told of something that was committed; the relay is woken for it."""
    by.plane.committed()
    return told
