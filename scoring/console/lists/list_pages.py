"""Lists: what is on each, and by whom; a token added until an instant, or taken off."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from scoring.client.control_plane import Refused
from scoring.console.lists.list_ends import instant_of
from scoring.console.policy_pages import NOT_FOUND
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes

KINDS = ("block", "allow", "plain")


def lists(visit: Visit) -> Response:
    """Every managed list."""
    items = visit.api.get("lists").json["items"]
    return visit.page("lists.html", title="Lists", items=items, kinds=KINDS)


def create(visit: Visit) -> Response:
    """Make a list without entries."""
    name = visit.form.get("name", "").strip()
    body = {
        "name": name,
        "kind": visit.form.get("kind", ""),
        "field": visit.form.get("field", "").strip(),
        "about": visit.form.get("about", "").strip(),
    }
    made = visit.api.post("lists", body=body).json
    return visit.to(_path(made["name"]), "The list is made; a policy has to name it.")


def entries(visit: Visit) -> Response:
    """A list with its entries, in the order of their tokens."""
    return _page(visit)


def look_up(visit: Visit) -> Response:
    """The entry of one token: it is in the form, so that no log has it."""
    token = visit.form.get("token", "").strip()
    try:
        found = visit.api.post(
            "lists", visit.path["name"], "look-up", body={"token": token}
        ).json
    except Refused as error:
        if error.status != NOT_FOUND:
            raise
        found = None
    return _page(visit, sought=token, found=found)


def add(visit: Visit) -> Response:
    """Put a token on a list, in place of what it had."""
    name, token = visit.path["name"], visit.form.get("token", "").strip()
    reason = visit.form.get("reason", "").strip()
    body = {
        "token": token,
        "expires": instant_of(visit.form.get("expires", "")),
        "reason": reason,
        "source": "console",
        "why": reason,
    }
    done = visit.api.post("lists", name, "entries", body=body).json
    said = "is on the list" if done["changed"] else "was on the list just so"
    return visit.to(_path(name), f"{token} {said}, by revision {_revision(done)}.")


def take_off(visit: Visit) -> Response:
    """Take a token off a list."""
    name, token = visit.path["name"], visit.form.get("token", "")
    body = {"token": token, "why": visit.form.get("why", "").strip()}
    done = visit.api.post("lists", name, "removals", body=body).json
    said = "is off the list" if done["changed"] else "was not on the list"
    return visit.to(_path(name), f"{token} {said}, by revision {_revision(done)}.")


def _page(visit: Visit, sought: str = "", found: Any = None) -> Response:
    name = visit.path["name"]
    page = visit.api.get(
        "lists", name, "entries", cursor=visit.query.get("cursor", "")
    ).json
    return visit.page(
        "list.html",
        title=f"List {name}",
        list=visit.api.get("lists", name).json,
        items=page["items"],
        more=page["next"],
        sought=sought,
        found=found,
    )


def _path(name: str) -> str:
    return f"/lists/{name}"


def _revision(done: dict[str, Any]) -> int:
    revision: int = done["list"]["revision"]
    return revision


_CHANGE = PageRight.CHANGE_LISTS
ROUTES: tuple[PageRoute, ...] = (
    reads("/lists", lists),
    writes("/lists", create, _CHANGE),
    reads("/lists/{name}", entries),
    writes("/lists/{name}/look-up", look_up, PageRight.READ),
    writes("/lists/{name}/entries", add, _CHANGE),
    writes("/lists/{name}/removals", take_off, _CHANGE),
)
