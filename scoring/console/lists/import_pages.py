"""Files into lists: read first, which changes nothing; then applied; then undone."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from scoring.console.edge import whole_number
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes
from scoring.errors import InvalidTransaction

# What takes longer goes on there, and its page asks how far it is.
_WAIT_S = 1.0


def read_file(visit: Visit) -> Response:
    """Read a file beside its list: the dry run."""
    name, content = visit.path["name"], visit.form.get("content", "")
    if not content.strip():
        raise InvalidTransaction(
            "content", "is empty; choose a file, or paste its text"
        )
    body = {
        "source": visit.form.get("source", "").strip() or "pasted in the console",
        "content": content,
        "replaces": "replaces" in visit.form,
        "wait_s": _WAIT_S,
        "why": visit.form.get("why", "").strip(),
    }
    begun = visit.api.post("lists", name, "imports", body=body).json
    return visit.to(_path(name, begun["number"]))


def shown(visit: Visit) -> Response:
    """What an import changes, or has changed; a part of its page while it runs."""
    name, number = visit.path["name"], visit.path["number"]
    found = visit.api.get("lists", name, "imports", number).json
    return visit.page(
        "import.html",
        title=f"Import {number} into {name}",
        list=visit.api.get("lists", name).json,
        item=found,
        here=_path(name, number),
    )


def apply(visit: Visit) -> Response:
    """Apply what was read, to the list as it was read."""
    revision = whole_number("revision", visit.form.get("revision", ""))
    return _done(visit, "application", {"revision": revision}, "The file is applied.")


def undo(visit: Visit) -> Response:
    """Bring back what an import changed."""
    return _done(visit, "undoing", {}, "The import is undone.")


def _done(visit: Visit, act: str, body: dict[str, Any], notice: str) -> Response:
    name, number = visit.path["name"], visit.path["number"]
    sent = {**body, "wait_s": _WAIT_S, "why": visit.form.get("why", "").strip()}
    reply = visit.api.post("lists", name, "imports", number, act, body=sent)
    told = notice if reply.status == HTTPStatus.OK else ""
    return visit.to(_path(name, number), told)


def _path(name: str, number: str | int) -> str:
    return f"/lists/{name}/imports/{number}"


_CHANGE = PageRight.CHANGE_LISTS
ROUTES: tuple[PageRoute, ...] = (
    writes("/lists/{name}/imports", read_file, _CHANGE),
    reads("/lists/{name}/imports/{number:number}", shown),
    writes("/lists/{name}/imports/{number:number}/apply", apply, _CHANGE),
    writes("/lists/{name}/imports/{number:number}/undo", undo, _CHANGE),
)
