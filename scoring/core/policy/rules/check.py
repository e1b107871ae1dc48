"""A rule's text to its checked syntax tree, by Google's CEL compiler.

The compiler is used here, at load, and nowhere else: never per transaction.
Transaction fields enter it untyped, because `has()` needs a map; the lowering
holds their types.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from scoring.core.policy.rules.problem import RuleProblem, suggestion
from scoring.core.policy.rules.syntax import Node, node_from_bytes

CHARACTERS_MAX = 4_000  # a longer predicate is several rules, or a list
NODES_MAX = 250  # keeps the generated function's nesting far below Python's own limit
ROOTS = ("transaction", "features", "limits", "lists", "score")

_ISSUE = re.compile(r"<input>:(\d+):(\d+): (.*)")
_OVERLOAD = re.compile(r"no matching overload for '([^']+)' applied to '\(([^)]*)\)'")
_OPERATORS = {"@in": "in", "_in_": "in"}
_WORD = re.compile(r"\w+|\S")
# What other languages write, and CEL does not.
_ELSEWHERE = {"=": "==", "and": "&&", "or": "||", "not": "!", "&": "&&", "|": "||"}


def checked(text: str) -> Node:
    """The tree of a predicate; raises `RuleProblem` at the first mistake."""
    if len(text) > CHARACTERS_MAX:
        raise RuleProblem(0, f"is longer than {CHARACTERS_MAX} characters; split it")
    try:
        expression = _environment().compile(text)
    except RuntimeError as error:
        raise _problem(text, str(error)) from error
    if expression.return_type().name() not in {"BOOL", "DYN"}:
        raise RuleProblem(0, "is not a condition: it must come out as true or false")
    node = node_from_bytes(expression.serialize())
    if node.count() > NODES_MAX:
        raise RuleProblem(0, f"has more than {NODES_MAX} parts; split it")
    return node


@cache
def _environment() -> Any:
    from cel_expr_python import cel

    types = cel.Type
    texts = types.List(types.STRING)
    return cel.NewEnv(
        variables={
            "transaction": types.Map(types.STRING, types.DYN),
            "features": types.Map(types.STRING, types.DOUBLE),
            "limits": types.Map(types.STRING, types.DYN),
            "lists": types.Map(types.STRING, texts),
            "score": types.DOUBLE,
        }
    )


def _problem(text: str, message: str) -> RuleProblem:
    """Translate the compiler's first complaint, which names a line and a column."""
    found = _ISSUE.search(message)
    if not found:
        return RuleProblem(0, message.splitlines()[0])
    above = text.split("\n")[: int(found[1]) - 1]
    offset = sum(len(line) + 1 for line in above) + int(found[2]) - 1
    complaint = found[3].removesuffix(" [INVALID_ARGUMENT]")
    return RuleProblem(offset, _plain(text, offset, complaint))


def _plain(text: str, offset: int, complaint: str) -> str:
    overload = _OVERLOAD.search(complaint)
    if overload:
        return _mismatch(text, offset, overload[1], overload[2])
    if complaint.startswith("undeclared reference to"):
        word = complaint.split("'")[1].partition(".")[0]
        known = f": use {', '.join(ROOTS)}; a text needs quotes"
        remedy = _as_cel(word) or suggestion(word, ROOTS) or known
        return f"{word!r} is not known{remedy}"
    if complaint.startswith("Syntax error"):
        word = found[0] if (found := _WORD.match(text, offset)) else ""
        if remedy := _as_cel(word):
            return f"{word!r} is not known{remedy}"
        return complaint.split(" expecting", maxsplit=1)[0].replace(
            "'<EOF>'", "the end"
        )
    return complaint


def _as_cel(word: str) -> str:
    """The rest of a sentence about a word of another language.

    >>> _as_cel("AND"), _as_cel("features")
    (': write &&', '')
    """
    meant = _ELSEWHERE.get(word.lower())
    return f": write {meant}" if meant else ""


def _mismatch(text: str, offset: int, function: str, types: str) -> str:
    operator = _OPERATORS.get(function, function.strip("_"))
    left, _, right = types.partition(", ")
    if {left, right} == {"double", "int"}:
        return mixed_numbers(operator, _number_near(text, offset))
    return f"{operator!r} does not take ({types})"


def mixed_numbers(operator: str, literal: str) -> str:
    """The remedy for an integer beside a decimal.

    >>> mixed_numbers(">", "5")
    "'>' takes numbers of one kind, features are decimal: write 5.0"
    """
    sentence = f"{operator!r} takes numbers of one kind"
    if literal.lstrip("-").isdigit():
        return f"{sentence}, features are decimal: write {literal}.0"
    if literal.endswith(".0"):
        return f"{sentence}, money is in whole minor units: write {literal[:-2]}"
    return f"{sentence}: int (amount_minor, limits in _minor) or double (the others)"


def _number_near(text: str, offset: int) -> str:
    after = re.match(r"\D{0,3}?(-?\d+(?:\.\d+)?)", text[offset:])
    before = re.search(r"(-?\d+(?:\.\d+)?)\s*$", text[:offset])
    found = after or before
    return found[1] if found else ""
