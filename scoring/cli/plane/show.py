"""What commands of the control plane print."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import typer

_MS_PER_S = 1_000
Item = Mapping[str, Any]


def time_of(ms: int | None) -> str:
    """A time as people read it, UTC.

    >>> time_of(1_700_000_000_000), time_of(None)
    ('2023-11-14 22:13:20', '')
    """
    if not ms:
        return ""
    return datetime.fromtimestamp(ms / _MS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


def entry_line(entry: Item) -> str:
    """One entry of the audit in a line."""
    after = entry["after"]
    said = "" if after is None else f"  {json.dumps(after, ensure_ascii=False)}"
    why = f"  because {entry['why']}" if entry["why"] else ""
    return (
        f"{entry['sequence']:>6}  {time_of(entry['at_ms'])}  {entry['person']}  "
        f"{entry['action']}  {entry['subject']}{said}{why}"
    )


def show_done(done: Item) -> None:
    """What has become of a version, and what to do next."""
    for notice in done["notices"]:
        typer.secho(notice, fg=typer.colors.YELLOW, err=True)
    policy, proposal = done["policy"], done["proposal"]
    for remark in policy["remarks"]:
        typer.echo(f"remark: {remark}")
    said = f"policy {policy['number']} ({policy['version']}) is {policy['state']}"
    if proposal is not None:
        said += f"; proposal {proposal['number']} is {proposal['stage']}"
    if done["release"] is not None:
        said += f"; release {done['release']} is on its way to every process"
    typer.echo(said)
    for because in done["gate"]:
        typer.echo(f"an approval needs a written reason: {because}")


def policies_table(items: Iterable[Item]) -> None:
    """Versions as a table."""
    table(
        ("policy", "version", "state", "authors", "drafted", "why"),
        (
            (
                each["number"],
                each["version"],
                each["state"],
                ", ".join(each["authors"]),
                time_of(each["created_at_ms"]),
                each["why"],
            )
            for each in items
        ),
    )


def proposals_table(items: Iterable[Item]) -> None:
    """Proposals as a table."""
    table(
        ("proposal", "policy", "version", "for", "stage", "by", "decided by", "why"),
        (
            (
                each["number"],
                each["policy"],
                each["version"],
                each["act"] + (f" {each['share']:.1%}" if each["share"] else ""),
                each["stage"],
                each["by"],
                each["decided_by"],
                each["reason"] or each["why"],
            )
            for each in items
        ),
    )


def releases_table(items: Iterable[Item]) -> None:
    """Releases as a table."""
    table(
        ("release", "policy", "version", "candidate", "shadows", "by", "at", "why"),
        (
            (
                each["release"],
                each["policy"],
                each["version"],
                _arm(each["candidate"]),
                ", ".join(map(str, each["shadows"])),
                each["by"],
                time_of(each["published_at_ms"]),
                each["why"],
            )
            for each in items
        ),
    )


def replicas_table(items: Iterable[Item]) -> None:
    """Processes that decide, and what each runs, as a table."""
    table(
        ("replica", "door", "is", "release", "policy", "lists", "since", "refused"),
        (
            (
                each["replica"],
                each["door"],
                each["standing"],
                each["release"] or "file",
                each["policy"],
                each["list_revision"],
                time_of(each["since_ms"]),
                each["refused"],
            )
            for each in items
        ),
    )


def held_back_lines(items: Iterable[Item]) -> list[str]:
    """What the breaker holds back, each once, and the command that arms it again.

    >>> print(*held_back_lines([{"tripped": [{"rule": "large", "policy": "ab12"}]}]))
    held back by the breaker: large (ab12); `scoring policy rearm large --why …`
    >>> print(*held_back_lines([{"tripped": [{"rule": "*", "policy": "ab12"}]}]))
    held back by the breaker: all declines (ab12); `scoring policy rearm '*' --why …`
    """
    held = {
        (trip["policy"], trip["rule"]) for each in items for trip in each["tripped"]
    }
    return [
        f"held back by the breaker: {rule.replace('*', 'all declines')} ({policy}); "
        f"`scoring policy rearm {shlex.quote(rule)} --why …`"
        for policy, rule in sorted(held)
    ]


def _arm(candidate: Item | None) -> str:
    return (
        "" if candidate is None else f"{candidate['policy']} {candidate['share']:.1%}"
    )


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns)
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
