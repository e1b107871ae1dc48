"""The policy that comes with the package, whole or cut down to other definitions."""

from __future__ import annotations

from importlib import resources

from scoring.core import document
from scoring.core.features.catalogue import Catalogue
from scoring.core.policy.policy import Policy, load_policy, refused_rules
from scoring.core.policy.policy_file import PolicyFile
from scoring.core.policy.reasons import ReasonTable
from scoring.errors import BadArtifact

_NAME = "scoring/defaults/policy.yaml"


def default_policy(catalogue: Catalogue, reasons: ReasonTable | None = None) -> Policy:
    """The shipped policy, whole.

    Raises `BadArtifact` naming the rules that need features which the definitions
    lack, and what to do.
    """
    text = shipped_text()
    lacking = _lacking(text, catalogue)
    if lacking:
        raise BadArtifact(
            f"the shipped policy's rules {', '.join(lacking)} need features that the "
            f"definitions {catalogue.name!r} lack: set SCORING_POLICY_FILE to a policy "
            "of yours; `scoring policy shipped --for FILE` prints the shipped one "
            "without them"
        )
    return load_policy(text, catalogue=catalogue, name=_NAME, reasons=reasons)


def shipped_text(catalogue: Catalogue | None = None) -> str:
    """The shipped file; with a catalogue, without the rules it has no features for.

    What is left is the file's own text, comments included.
    """
    text = resources.files("scoring.defaults").joinpath("policy.yaml").read_text()
    if catalogue is None:
        return text
    lines = text.splitlines(keepends=True)
    file = document.load(text, PolicyFile, name=_NAME)
    starts = [
        document.line_of(text, ("rules", i, "id")) - 1 for i in range(len(file.rules))
    ]
    ends = [*starts[1:], _end_of_block(lines, starts[-1])]
    lacking = _lacking(text, catalogue)
    for rule, start, end in zip(file.rules, starts, ends, strict=True):
        if rule.id in lacking:
            lines[start:end] = [""] * (end - start)
    if len(lacking) == len(file.rules):
        lines[document.line_of(text, ("rules",)) - 1] = "rules: []\n"
    return "".join(lines)


def _end_of_block(lines: list[str], start: int) -> int:
    """The first line after `start` that is not indented."""
    after = range(start + 1, len(lines))
    return next(i for i in after if not lines[i].startswith(" "))


def _lacking(text: str, catalogue: Catalogue) -> list[str]:
    """The rules that the definitions have no features for."""
    file = document.load(text, PolicyFile, name=_NAME)
    return refused_rules(file, catalogue)
