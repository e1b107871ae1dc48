"""`scoring policy draft …`: a policy's life, from the shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoring.cli.options.control import with_control
from scoring.cli.plane import show

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi

Number = Annotated[int, typer.Argument(help="the version's number")]
Why = Annotated[str, typer.Option("--why", help="the reason, for the audit")]
Reasons = Annotated[
    Path | None, typer.Option(help="a table of reasons of its own, YAML")
]


@with_control
def draft(
    api: ControlApi,
    file: Annotated[Path, typer.Argument(help="the policy, YAML")],
    *,
    reasons: Reasons = None,
    based_on: Annotated[
        int | None, typer.Option(help="the version that it was made from")
    ] = None,
    why: Why = "",
) -> None:
    """Draft a version from a file."""
    body = {**_texts(file, reasons), "based_on": based_on, "why": why}
    show.show_done(api.post("policies", body=body).json)


@with_control
def edit(
    api: ControlApi,
    number: Number,
    file: Annotated[Path, typer.Argument(help="the new text, YAML")],
    *,
    reasons: Reasons = None,
    revision: Annotated[
        int | None, typer.Option(help="the revision that you read; default: today's")
    ] = None,
    why: Why = "",
) -> None:
    """Give a draft another text; of what is no draft any more, make a new draft.

    Where somebody else was first, nothing is changed and what they changed is shown.
    """
    read = api.get("policies", number)
    found = read.json
    etag = read.etag
    if revision is not None:
        etag = f'"{number}.{revision}.{found["state"]}"'
    kept = {"reasons": found["reasons"]}
    body = {**kept, **_texts(file, reasons), "why": why}
    show.show_done(api.put("policies", number, body=body, etag=etag).json)


@with_control
def propose(
    api: ControlApi,
    number: Number,
    *,
    act: Annotated[
        str, typer.Option("--for", help="release, candidate or shadow")
    ] = "release",
    share: Annotated[
        float | None, typer.Option(help="of payments, of a candidate; 0.05 is 5 %")
    ] = None,
    why: Why = "",
) -> None:
    """Propose a version to a second person; its text never changes from then on."""
    body = {"act": act, "share": share, "why": why}
    show.show_done(api.post("policies", number, "proposals", body=body).json)


@with_control
def approve(
    api: ControlApi,
    proposal: Annotated[int, typer.Argument(help="the proposal's number")],
    version: Annotated[str, typer.Argument(help="the hash that you have read")],
    *,
    release: Annotated[
        bool, typer.Option("--release", help="do at once what it was proposed for")
    ] = False,
    why: Why = "",
) -> None:
    """Approve exactly this hash, for what it was proposed for; it is used once."""
    body = {"version": version, "why": why, "at_once": release}
    show.show_done(api.post("proposals", proposal, "approval", body=body).json)


@with_control
def reject(
    api: ControlApi,
    proposal: Annotated[int, typer.Argument(help="the proposal's number")],
    *,
    why: Why,
) -> None:
    """Reject a proposal with a reason, or withdraw your own."""
    done = api.post("proposals", proposal, "rejection", body={"why": why})
    show.show_done(done.json)


@with_control
def release(api: ControlApi, number: Number, *, why: Why = "") -> None:
    """Put an approved version in force everywhere."""
    _act(api, {"policy": number, "act": "release", "why": why})


@with_control
def shadow(api: ControlApi, number: Number, *, why: Why = "") -> None:
    """Record what an approved version would decide, beside the one in force."""
    _act(api, {"policy": number, "act": "shadow", "why": why})


@with_control
def rollout(
    api: ControlApi,
    number: Number,
    share: Annotated[float, typer.Argument(help="of payments; 0.05 is 5 %")],
    *,
    why: Why = "",
) -> None:
    """Let an approved version decide a share of payments."""
    _act(api, {"policy": number, "act": "candidate", "share": share, "why": why})


@with_control
def stop(api: ControlApi, number: Number, *, why: Why) -> None:
    """Stop a candidate or a shadow, or end a version that does not run."""
    done = api.post("policies", number, "retirement", body={"why": why})
    show.show_done(done.json)


@with_control
def rollback(
    api: ControlApi,
    *,
    why: Why,
    to: Annotated[
        int | None,
        typer.Option(help="an earlier version, which is then proposed"),
    ] = None,
) -> None:
    """Return to the version before at once, as a new version with the reason."""
    read = api.get("releases", "current").etag
    body = {"why": why, "to": to}
    done = api.post("releases", "rollback", body=body, etag=read)
    show.show_done(done.json)


@with_control
def rearm(
    api: ControlApi,
    rule: Annotated[
        str,
        typer.Argument(help="what the breaker stopped: a rule, or * for all declines"),
    ],
    *,
    why: Why,
) -> None:
    """Let the breaker of a rule begin anew."""
    _act(api, {"rule": rule, "why": why}, "rearmed")


@with_control
def republish(api: ControlApi, *, why: Why) -> None:
    """Release once more what is in force here: after a restore from a backup."""
    _act(api, {"why": why}, "republish")


@with_control
def diff(
    api: ControlApi,
    number: Number,
    against: Annotated[
        int | None,
        typer.Argument(help="default: what it is based on, else what is in force"),
    ] = None,
) -> None:
    """Show what is different from one version's text to another's."""
    found = api.get("policies", number, "diff", against=against).json
    typer.echo(f"policy {found['against']} → {found['policy']}")
    for line in found["lines"]:
        typer.echo(line)


@with_control
def history(
    api: ControlApi,
    *,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="proposals and approvals instead")
    ] = False,
    releases: Annotated[
        bool, typer.Option("--releases", help="what was in force, and when, instead")
    ] = False,
) -> None:
    """Show every version, the newest first."""
    if proposals:
        show.proposals_table(api.items("proposals"))
    elif releases:
        show.releases_table(api.items("releases"))
    else:
        show.policies_table(api.items("policies"))


@with_control
def text(
    api: ControlApi,
    version: Annotated[str, typer.Argument(help="a number, or the hash of a decision")],
) -> None:
    """Print a version's text, by its number or by the hash that a decision names."""
    from scoring.errors import NotFound

    if version.isdecimal() and len(version) < len("6d9c6ec5a8a4f7a1"):
        typer.echo(api.get("policies", version).json["text"], nl=False)
        return
    found = api.get("versions", version).json["items"]
    if not found:
        raise NotFound(f"no version with the hash {version} was drafted here")
    typer.echo(found[0]["text"], nl=False)


COMMANDS = (
    draft, edit, propose, approve, reject, release, shadow, rollout, stop, rollback,
    rearm, republish, diff, history, text,
)  # fmt: skip


def _act(api: ControlApi, body: dict[str, Any], *path: str) -> None:
    show.show_done(api.post("releases", *path, body=body).json)


def _texts(file: Path, reasons: Path | None) -> dict[str, str]:
    from scoring.wiring.definitions import text_of

    texts = {"text": text_of(file)}
    if reasons is not None:
        texts["reasons"] = text_of(reasons)
    return texts
