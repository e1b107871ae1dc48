"""The mapping that a command reads a table by: named, or the one that fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scoring.errors import BadArtifact
from scoring.tables.describe import describe
from scoring.tables.mapping import SHIPPED, TableMapping, load_mapping, shipped_mapping


def ignore(_remark: str) -> None:
    """Tell nobody."""


def chosen_mapping(
    table: Path,
    name: str = "",
    *,
    encoding: str = "",
    told: Callable[[str], None] = ignore,
) -> TableMapping:
    """The mapping named (a shipped one or a file), or else the one that fits the table.

    `told` hears what a mapping that nobody wrote assumes. Raises `BadArtifact` where
    the name is neither, or the columns are not obvious.
    """
    if name and encoding:
        raise BadArtifact(f"--encoding: say it in the mapping: encoding: {encoding}")
    if name in SHIPPED:
        return shipped_mapping(name)
    if name:
        path = Path(name)
        if not path.is_file():
            raise BadArtifact(
                f"{name}: is neither a file nor one of {', '.join(SHIPPED)}"
            )
        return load_mapping(path.read_text(encoding="utf-8"), name=name)
    proposal = describe(table, encoding=encoding)
    if not proposal.complete:
        raise BadArtifact(
            f"{table.name}: its columns are not obvious. Write a mapping, starting "
            f"from `scoring replay --describe {table}`, and pass it by --mapping: "
            f"{'; '.join(proposal.asked)}"
        )
    for remark in proposal.remarks:
        told(remark)
    return load_mapping(proposal.text, name="the proposed mapping")
