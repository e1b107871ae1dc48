"""Lists: what is on each, and by whom; a token added until an instant, or taken off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from scoring.client.control_plane import Refused
from scoring.console.edge import local_path
from scoring.console.lists.list_ends import end_in, ends_from, iso_of
from scoring.console.pages import time_of
from scoring.console.policy_pages import NOT_FOUND
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes
from scoring.core.release.list_release import FOREVER_MS
from scoring.errors import InvalidTransaction

KINDS = ("block", "allow", "plain")
_HISTORY_MAX, _IMPORTS_MAX = 20, 10


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
    """The entry of one token, or those that begin so: in the form, so no log has it."""
    token = visit.form.get("token", "").strip()
    try:
        found = visit.api.post(
            "lists", visit.path["name"], "look-up", body={"token": token}
        ).json
        return _page(visit, sought=token, found=[found])
    except Refused as error:
        if error.status != NOT_FOUND:
            raise
    like = visit.api.get("lists", visit.path["name"], "entries", prefix=token).json
    return _page(visit, sought=token, like=like["items"])


def add(visit: Visit) -> Response:
    """Put a token on a list, in place of what it had."""
    return _put(visit, visit.path["name"], visit.form.get("token", "").strip())


def add_of_payment(visit: Visit) -> Response:
    """Put the token that a payment has of a list's field on it, and go back."""
    name = visit.form.get("list", "")
    field = visit.api.get("lists", name).json["field"]
    token = visit.form.get(f"token.{field}", "").strip()
    if not token:
        raise InvalidTransaction(field, "is unknown of this payment")
    return _put(visit, name, token, local_path(visit.form.get("back", ""), _path(name)))


def _put(visit: Visit, name: str, token: str, back: str = "") -> Response:
    reason = visit.form.get("reason", "").strip()
    body = {
        "token": token,
        "expires": end_in(visit.form),
        "reason": reason,
        "source": "console",
        "why": reason,
    }
    done = visit.api.post("lists", name, "entries", body=body).json
    said = "is on the list" if done["changed"] else "was on the list just so"
    until = done["entry"] and done["entry"]["until_ms"]
    told = f", until {time_of(until)} UTC" if until else ", for ever"
    notice = f"{token} {said} {name}{told}, by revision {_revision(done)}."
    return visit.to(back or _path(name), notice)


def take_off(visit: Visit) -> Response:
    """Take a token off a list."""
    name, token = visit.path["name"], visit.form.get("token", "")
    body = {"token": token, "why": visit.form.get("why", "").strip()}
    done = visit.api.post("lists", name, "removals", body=body).json
    said = "is off the list" if done["changed"] else "was not on the list"
    notice = f"{token} {said}, by revision {_revision(done)}. The history undoes it."
    return visit.to(_path(name), notice)


def _page(
    visit: Visit, sought: str = "", found: Sequence[Any] = (), like: Sequence[Any] = ()
) -> Response:
    name = visit.path["name"]
    page = visit.api.get(
        "lists", name, "entries", cursor=visit.query.get("cursor", "")
    ).json
    subject = f"list {name}"
    imports = visit.api.get("lists", name, "imports", limit=_IMPORTS_MAX)
    history = visit.api.get("audit", subject=subject, newest="true", limit=_HISTORY_MAX)
    return visit.page(
        "list.html",
        title=f"List {name}",
        list=visit.api.get("lists", name).json,
        items=page["items"],
        more=page["next"],
        sought=sought,
        found=found,
        like=like,
        ends=ends_from(visit.desk.now_ms()),
        imports=imports.json["items"],
        history=[_moment(each) for each in history.json["items"]],
    )


def _moment(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the audit as people read it, with what undoes it if anything does."""
    before, after = entry["before"] or {}, entry["after"] or {}
    action = entry["action"].partition(".")[2].replace("_", " ")
    number = after.get("import", 0)
    undoes = entry["action"] == "list.take_off"
    until_ms = before.get("until_ms", FOREVER_MS)
    return {
        "at_ms": entry["at_ms"],
        "person": entry["person"],
        "what": f"{action} {number}" if number else action,
        "token": after.get("token") or before.get("token") or "",
        "import": number,
        "why": entry["why"],
        "back": before if undoes else None,
        "until": "" if until_ms >= FOREVER_MS else iso_of(until_ms),
    }


def _path(name: str) -> str:
    return f"/lists/{name}"


def _revision(done: dict[str, Any]) -> int:
    revision: int = done["list"]["revision"]
    return revision


_CHANGE = PageRight.CHANGE_LISTS
ROUTES: tuple[PageRoute, ...] = (
    reads("/lists", lists),
    writes("/lists", create, _CHANGE),
    writes("/lists/token", add_of_payment, _CHANGE),
    reads("/lists/{name}", entries),
    writes("/lists/{name}/look-up", look_up, PageRight.READ),
    writes("/lists/{name}/entries", add, _CHANGE),
    writes("/lists/{name}/removals", take_off, _CHANGE),
)
