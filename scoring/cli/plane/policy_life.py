"""`scoring policy draft …`: a policy's life, from the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scoring.cli.options.control import ControlUrl, DatabaseUrl, TokenFile, control_at
from scoring.cli.plane import show

Number = Annotated[int, typer.Argument(help="the version's number")]
Why = Annotated[str, typer.Option("--why", help="the reason, for the audit")]
Reasons = Annotated[
    Path | None, typer.Option(help="a table of reasons of its own, YAML")
]


def draft(
    file: Annotated[Path, typer.Argument(help="the policy, YAML")],
    *,
    reasons: Reasons = None,
    based_on: Annotated[
        int | None, typer.Option(help="the version that it was made from")
    ] = None,
    why: Why = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Draft a version from a file."""
    body = {**_texts(file, reasons), "based_on": based_on, "why": why}
    with control_at(control, database, token_file) as api:
        show.show_done(api.post("policies", body=body).json)


def edit(
    number: Number,
    file: Annotated[Path, typer.Argument(help="the new text, YAML")],
    *,
    reasons: Reasons = None,
    revision: Annotated[
        int | None, typer.Option(help="the revision that you read; default: today's")
    ] = None,
    why: Why = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Give a draft another text; of what is no draft any more, make a new draft.

    Where somebody else was first, nothing is changed and what they changed is shown.
    """
    with control_at(control, database, token_file) as api:
        read = api.get("policies", number)
        found = read.json
        etag = read.etag
        if revision is not None:
            etag = f'"{number}.{revision}.{found["state"]}"'
        kept = {"reasons": found["reasons"]}
        body = {**kept, **_texts(file, reasons), "why": why}
        show.show_done(api.put("policies", number, body=body, etag=etag).json)


def propose(
    number: Number,
    *,
    act: Annotated[
        str, typer.Option("--for", help="release, candidate or shadow")
    ] = "release",
    share: Annotated[
        float | None, typer.Option(help="of payments, of a candidate; 0.05 is 5 %")
    ] = None,
    why: Why = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Propose a version to a second person; its text never changes from then on."""
    body = {"act": act, "share": share, "why": why}
    with control_at(control, database, token_file) as api:
        show.show_done(api.post("policies", number, "proposals", body=body).json)


def approve(
    proposal: Annotated[int, typer.Argument(help="the proposal's number")],
    version: Annotated[str, typer.Argument(help="the hash that you have read")],
    *,
    release: Annotated[
        bool, typer.Option("--release", help="do at once what it was proposed for")
    ] = False,
    why: Why = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Approve exactly this hash, for what it was proposed for; it is used once."""
    body = {"version": version, "why": why, "at_once": release}
    with control_at(control, database, token_file) as api:
        show.show_done(api.post("proposals", proposal, "approval", body=body).json)


def reject(
    proposal: Annotated[int, typer.Argument(help="the proposal's number")],
    *,
    why: Why,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Reject a proposal with a reason, or withdraw your own."""
    with control_at(control, database, token_file) as api:
        done = api.post("proposals", proposal, "rejection", body={"why": why})
        show.show_done(done.json)


def release(
    number: Number,
    *,
    why: Why = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Put an approved version in force everywhere."""
    body = {"policy": number, "act": "release", "why": why}
    with control_at(control, database, token_file) as api:
        show.show_done(api.post("releases", body=body).json)


def shadow(
    number: Number,
    *,
    why: Why = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Record what an approved version would decide, beside the one in force."""
    body = {"policy": number, "act": "shadow", "why": why}
    with control_at(control, database, token_file) as api:
        show.show_done(api.post("releases", body=body).json)


def rollout(
    number: Number,
    share: Annotated[float, typer.Argument(help="of payments; 0.05 is 5 %")],
    *,
    why: Why = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Let an approved version decide a share of payments."""
    body = {"policy": number, "act": "candidate", "share": share, "why": why}
    with control_at(control, database, token_file) as api:
        show.show_done(api.post("releases", body=body).json)


def stop(
    number: Number,
    *,
    why: Why,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Stop a candidate or a shadow, or end a version that does not run."""
    with control_at(control, database, token_file) as api:
        done = api.post("policies", number, "retirement", body={"why": why})
        show.show_done(done.json)


def rollback(
    *,
    why: Why,
    to: Annotated[
        int | None,
        typer.Option(help="an earlier version, which is then proposed"),
    ] = None,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Return to the version before at once, as a new version with the reason."""
    with control_at(control, database, token_file) as api:
        done = api.post("releases", "rollback", body={"why": why, "to": to})
        show.show_done(done.json)


def rearm(
    rule: Annotated[str, typer.Argument(help="the rule that the breaker stopped")],
    *,
    why: Why,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Let the breaker of a rule begin anew."""
    with control_at(control, database, token_file) as api:
        done = api.post("releases", "rearmed", body={"rule": rule, "why": why})
        show.show_done(done.json)


def diff(
    number: Number,
    against: Annotated[
        int | None,
        typer.Argument(help="default: what it is based on, else what is in force"),
    ] = None,
    *,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Show what is different from one version's text to another's."""
    with control_at(control, database, token_file) as api:
        found = api.get("policies", number, "diff", against=against).json
    typer.echo(f"policy {found['against']} → {found['policy']}")
    for line in found["lines"]:
        typer.echo(line)


def history(
    *,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="proposals and approvals instead")
    ] = False,
    releases: Annotated[
        bool, typer.Option("--releases", help="what was in force, and when, instead")
    ] = False,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Show every version, the newest first."""
    with control_at(control, database, token_file) as api:
        if proposals:
            show.proposals_table(api.items("proposals"))
        elif releases:
            show.releases_table(api.items("releases"))
        else:
            show.policies_table(api.items("policies"))


def text(
    version: Annotated[str, typer.Argument(help="a number, or the hash of a decision")],
    *,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Print a version's text, by its number or by the hash that a decision names."""
    from scoring.errors import NotFound

    with control_at(control, database, token_file) as api:
        if version.isdecimal() and len(version) < len("6d9c6ec5a8a4f7a1"):
            typer.echo(api.get("policies", version).json["text"], nl=False)
            return
        found = api.get("versions", version).json["items"]
    if not found:
        raise NotFound(f"no version with the hash {version} was drafted here")
    typer.echo(found[0]["text"], nl=False)


COMMANDS = (
    draft, edit, propose, approve, reject, release, shadow, rollout, stop, rollback,
    rearm, diff, history, text,
)  # fmt: skip


def _texts(file: Path, reasons: Path | None) -> dict[str, str]:
    from scoring.wiring.definitions import text_of

    texts = {"text": text_of(file)}
    if reasons is not None:
        texts["reasons"] = text_of(reasons)
    return texts
