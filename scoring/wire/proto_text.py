"""What the .proto files say in words: of a service, a message, an enumeration."""

from __future__ import annotations

import re
from importlib import resources

_COMMENT = re.compile(r"\s*//\s?(.*)")
_NAMED = re.compile(r"\s*(?:rpc (\w+)\(|(?:[\w.<>, ]+\s)?(\w+) = \d+;)")


def proto_text(file_name: str) -> str:
    """The text of one of our .proto files, "decision.proto"."""
    return resources.files("scoring.v1").joinpath(file_name).read_text("utf-8")


def meanings(file_name: str, opening: str) -> dict[str, str]:
    """What a .proto says of each member of a message, an enumeration or a service.

    >>> meanings("decision.proto", "enum Outcome")["OUTCOME_REVIEW"]
    'Hold it for a person.'
    >>> meanings("fraud_scoring.proto", "service FraudScoring")["CheckTransaction"][:28]
    'Judges one transaction. Idem'
    """
    body = proto_text(file_name).partition(f"\n{opening} {{")[2].partition("\n}")[0]
    found: dict[str, str] = {}
    said: list[str] = []
    for line in body.splitlines():
        if comment := _COMMENT.match(line):
            said.append(comment[1])
        elif named := _NAMED.match(line):
            found[named[1] or named[2]], said = " ".join(said), []
    return found


def meaning(file_name: str, opening: str) -> str:
    """What a .proto says of a message itself.

    >>> meaning("fraud_scoring.proto", "message CheckResult")
    'The result of one item.'
    """
    before = proto_text(file_name).partition(f"\n{opening} {{")[0]
    said: list[str] = []
    for line in reversed(before.splitlines()):
        comment = _COMMENT.match(line)
        if comment is None:
            break
        said.append(comment[1])
    return " ".join(reversed(said))
