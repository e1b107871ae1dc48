"""Files into managed lists: what they change first, then the change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scoring.errors import BadArtifact, Unavailable

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi
    from scoring.core.policy.policy_file import TokenList

_AT_ONCE_S = 0.5  # what takes no longer is answered with its end
_LOOK_S = 0.25
_SILENT_S = 60.0  # so long nobody need say that it runs: another copy may answer
_ENDS = {"reading": "read", "applying": "applied", "undoing": "undone"}
_UNPROCESSABLE = 422
_KIND_OF = {"approve": "allow", None: "plain"}


@dataclass(frozen=True, slots=True)
class ImportOf:
    """Where a file goes, and how."""

    api: ControlApi
    replace: bool = False
    dry_run: bool = False
    why: str = ""


def imported(of_it: ImportOf, name: str, source: str, content: bytes) -> None:
    """Read a file beside its list, and apply it unless that is all; tells each step."""
    try:
        text = content.decode()  # whole, its mark too: its hash is the file's
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        told = f"{source}:{line}: is not UTF-8; save the file as UTF-8"
        raise BadArtifact(told) from error
    body = {"source": source, "content": text, "replaces": of_it.replace}
    path = ("lists", name, "imports")
    read = followed(of_it.api, path, body | {"why": of_it.why}, told="reading")
    if of_it.dry_run:
        typer.echo(f"{name}: would change: {diff_line(read)}")
        return
    at = {"revision": read["revision"], "why": of_it.why}
    of_import = (*path, read["number"], "application")
    done = followed(of_it.api, of_import, at, told="applying")
    typer.echo(
        f"{name}: import {done['number']}: {diff_line(done)}; "
        f"undo it with `scoring lists undo {name} {done['number']}`"
    )


def followed(
    api: ControlApi,
    path: tuple[str | int, ...],
    body: Mapping[str, Any],
    *,
    told: str,
) -> dict[str, Any]:
    """Ask for something that may take long, and show how far it is until it ended.

    `told` names it, one of `_ENDS`. Only its state says that it is done: a copy of the
    control plane that does not do it knows nothing else. Raises `Refused` where it
    fails, `Unavailable` where nobody says for a while what became of it.
    """
    import time

    from rich.console import Console
    from rich.progress import Progress

    from scoring.client.control_plane import Refused

    found: dict[str, Any] = api.post(*path, body={**body, "wait_s": _AT_ONCE_S}).json
    before, ran_at = found["state"], time.monotonic()
    console = Console(stderr=True)
    shown = console.is_terminal
    with Progress(console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task(told, total=None)
        while found["running"] or (
            found["state"] == before != _ENDS[told]
            and not found["problems"]
            and time.monotonic() < ran_at + _SILENT_S
        ):
            if found["running"]:
                ran_at = time.monotonic()
            progress = found["progress"]
            total = None if progress is None else 1.0
            bar.update(task, completed=progress or 0.0, total=total)
            time.sleep(_LOOK_S)
            found = api.get(*path[:3], found["number"]).json
    if found["problems"]:
        raise Refused("\n".join(found["problems"]), _UNPROCESSABLE)
    if found["state"] != _ENDS[told]:
        raise Unavailable(_unknown(found, told, path[1]))
    return found


def _unknown(found: Mapping[str, Any], told: str, name: str | int) -> str:
    if found["state"] == "refused":
        return (
            f"import {found['number']}: the file has a mistake, and the copy of the "
            "control plane that read it did not answer; import it again to see which"
        )
    return (
        f"import {found['number']} is {found['state']} and not known to be "
        f"{_ENDS[told]}: the control plane was restarted, or another copy of it "
        f"answers; look by `scoring lists imports {name}`, then try again"
    )


def moved_from(of_it: ImportOf, file: Path, only: str = "") -> None:
    """Move the entries that a policy holds to managed lists of the same names."""
    from scoring.core import document
    from scoring.core.policy.policy_file import PolicyFile

    try:
        text = file.read_text()
    except OSError as error:
        raise BadArtifact(f"{file}: cannot be read: {error.strerror}") from error
    policy = document.load(text, PolicyFile, name=str(file))
    held = {
        name: listed
        for name, listed in policy.lists.items()
        if listed.entries and only in ("", name)
    }
    if not held:
        raise BadArtifact(f"{file}: no list of it has entries to be moved")
    there = {each["name"] for each in of_it.api.items("lists")}
    for name, listed in held.items():
        if name not in there:
            _created(of_it, name, listed)
        imported(of_it, name, file.name, _lines(listed))
    typer.echo("now write `managed: true` in place of their entries in the policy")


def _created(of_it: ImportOf, name: str, listed: TokenList) -> None:
    kind = _KIND_OF.get(listed.then, "block")
    if listed.field is None:
        told = "name what it is of: `scoring lists create"
        raise BadArtifact(f"lists.{name}: has no field; {told} {name} --field …`")
    body = {"name": name, "kind": kind, "field": listed.field, "why": of_it.why}
    of_it.api.post("lists", body=body)


def _lines(listed: TokenList) -> bytes:
    rows = (
        {
            "token": entry.token,
            "expires": entry.expires.isoformat() if entry.expires else "",
            "reason": entry.reason,
        }
        for entry in listed.entries
    )
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def diff_line(told: Mapping[str, Any]) -> str:
    """What an import changes, in a line.

    >>> diff_line({"added": 2, "changed": 0, "removed": 1, "unchanged": 7,
    ...     "repeated": 0})
    '2 added, 0 changed, 1 removed, 7 as they were'
    """
    line = f"{told['added']:,} added, {told['changed']:,} changed, "
    line += f"{told['removed']:,} removed, {told['unchanged']:,} as they were"
    repeated = told["repeated"]
    return f"{line}, {repeated:,} repeated" if repeated else line
