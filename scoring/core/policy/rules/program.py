"""All rules of a policy as generated functions, and a witness for each rule.

Nothing in the generated source comes from a rule's text except literals, which
enter through `repr`; every name is ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any, Protocol

from scoring.core.generated_code import function_from, rebound
from scoring.core.policy.rules.check import NODES_MAX, checked
from scoring.core.policy.rules.code_generation import Lowering
from scoring.core.policy.rules.inputs import MEMBERS, Schema
from scoring.core.policy.rules.possible import always_holds
from scoring.core.policy.rules.problem import RuleProblem
from scoring.core.policy.rules.syntax import Node, NodeKind
from scoring.core.policy.rules.terms import flipped, opposite
from scoring.core.transaction.transaction import Transaction

_NAMES = "f, t, at, score"
_WORD = re.compile(r"\w+")
_LOADED = re.compile(r"\bf_[0-9]+\b")  # the local name of a feature
# Of the clauses that one function holds, some 30 usual rules; of those that its careful
# part does, which is more code and called where something is missing. Python compiles
# a function in one go, during which no other thread runs, the event loop's neither.
_PIECE_NODES_MAX = NODES_MAX
_CAREFUL_NODES_MAX = NODES_MAX // 3
_CAREFUL = "CAREFUL"

Row = list[float]
# (feature, observed, limit) of the velocity comparison that made a rule hold.
Witness = tuple[str, float, float]
Evaluate = Callable[[Row, Transaction, int, float], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Clause:
    """A predicate and the event times between which it is asked, [starts, expires)."""

    when: str
    starts_ms: int | None = None
    expires_ms: int | None = None


class Listed(Protocol):
    """A list's tokens; never raises, whatever the token."""

    def get(self, token: str, default: int, /) -> int:
        """The event time at which a token's entry expires, ms; the default for none."""
        ...


@dataclass(frozen=True, slots=True)
class Bindings:
    """What the names in rules mean: `limits` resolve for a transaction."""

    limits: Mapping[str, Callable[[Transaction], float]]
    lists: Mapping[str, Listed]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some clauses, from `first` on, as functions; bit 0 of their masks is `first`.

    `evaluate` asks the `careful` ones, each with its place in the masks, where
    something that the clauses read is missing.
    """

    first: int
    evaluate: Evaluate
    careful: tuple[tuple[int, Evaluate], ...]

    def with_names(self, names: Mapping[str, Any]) -> Piece:
        """The same, seeing other values under names that it reads."""
        careful = tuple((at, rebound(part, names)) for at, part in self.careful)
        seen = {**names, _CAREFUL: _together(careful)}
        return replace(self, evaluate=rebound(self.evaluate, seen), careful=careful)


@dataclass(frozen=True, slots=True)
class RuleProgram:
    """The rules, ready to run.

    `evaluate(row, transaction, at_ms, score)` returns two masks, bit i for clause
    i: known to hold, and unknown. The row is the vector as Python floats, NaN
    unknown; so is the score. The `pieces` do so together. `witness[i]`, called with the
    same where clause i holds, names the velocity comparison that made it hold, or
    returns None. `always` are the clauses that hold
    for every payment whose inputs are known.
    """

    pieces: tuple[Piece, ...]
    witness: tuple[Callable[[Row, Transaction, int, float], Witness | None], ...]
    source: str
    always: frozenset[int]
    evaluate: Evaluate = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Put the pieces together."""
        parts = [(piece.first, piece.evaluate) for piece in self.pieces]
        object.__setattr__(self, "evaluate", _together(parts))

    def with_lists(self, lists: Mapping[str, Listed]) -> RuleProgram:
        """The same rules over other lists, by name; nothing is compiled again."""
        names = _lists(lists)
        return replace(
            self,
            pieces=tuple(piece.with_names(names) for piece in self.pieces),
            witness=tuple(rebound(witness, names) for witness in self.witness),
        )


def _together(pieces: Sequence[tuple[int, Evaluate]]) -> Evaluate:
    if len(pieces) == 1:  # as most policies have it: no call more
        return pieces[0][1]

    def evaluate(
        row: Row, transaction: Transaction, at_ms: int, score: float
    ) -> tuple[int, int]:
        held = unknown = 0
        for first, piece in pieces:
            h, u = piece(row, transaction, at_ms, score)
            held += h << first
            unknown += u << first
        return held, unknown

    return evaluate


def compiled(
    clauses: Sequence[Clause], schema: Schema, bindings: Bindings
) -> tuple[RuleProgram, list[tuple[int, RuleProblem]]]:
    """Compile all clauses; the second value lists (clause, problem).

    A clause with a problem never holds: callers refuse the policy.
    """
    problems: list[tuple[int, RuleProblem]] = []
    nodes: list[Node | None] = []
    always: set[int] = set()
    pieces = [_Source(0, Lowering(schema))]
    for i, clause in enumerate(clauses):
        try:
            node = checked(clause.when)
            if not pieces[-1].has_room(node):
                pieces.append(_Source(i, Lowering(schema)))
            if pieces[-1].add(i, clause, node):
                always.add(i)
            nodes.append(node)
        except RuleProblem as problem:
            problems.append((i, problem))
            nodes.append(None)
    namespace = _namespace(bindings)
    program = RuleProgram(
        tuple(piece.compiled(namespace) for piece in pieces),
        tuple(_witness(node, schema, namespace) for node in nodes),
        "\n".join(text for piece in pieces for text in piece.texts()),
        frozenset(always),
    )
    return program, problems


@dataclass(slots=True)
class _Source:
    """Clauses that become one piece.

    `careful` has the lines of each careful function, with its place in the masks.
    """

    first: int
    lowering: Lowering
    plain: list[str] = field(default_factory=list)
    careful: list[tuple[int, list[str]]] = field(default_factory=lambda: [(0, [])])
    nodes: int = 0
    careful_nodes: int = 0

    def has_room(self, node: Node) -> bool:
        return self.nodes + node.count() <= _PIECE_NODES_MAX

    def add(self, i: int, clause: Clause, node: Node) -> bool:
        """Add clause i; returns whether it always holds. Raises `RuleProblem`."""
        truth = self.lowering.truth(node)
        always = always_holds(node, self.lowering)
        place = i - self.first
        self.plain += _timed(clause, [f"if {truth.plain}:", f"    h += {1 << place}"])
        if self.careful_nodes and (
            self.careful_nodes + node.count() > _CAREFUL_NODES_MAX
        ):
            self.careful.append((place, []))
            self.careful_nodes = 0
        at, careful = self.careful[-1]
        bit = 1 << place - at
        careful += _timed(
            clause,
            [
                f"if {truth.true}:",
                f"    h += {bit}",
                f"elif not {truth.false}:",
                f"    u += {bit}",
            ],
        )
        self.nodes += node.count()
        self.careful_nodes += node.count()
        return always

    def texts(self) -> list[str]:
        """The function, and its careful ones."""
        lowering = self.lowering
        body = [
            *_if_all_is_known(lowering, ["h = 0", *self.plain, "return h, 0"]),
            f"return {_CAREFUL}({_NAMES})",
        ]
        texts = [_function("evaluate", lowering.loads, body)]
        for _, lines in self.careful:
            body = ["h = u = 0", *lines, "return h, u"]
            texts.append(_function("careful", _read(lowering.loads, lines), body))
        return texts

    def compiled(self, namespace: Mapping[str, Any]) -> Piece:
        text, *texts = self.texts()
        careful = tuple(
            (at, function_from(part, "careful", namespace))
            for (at, _), part in zip(self.careful, texts, strict=True)
        )
        seen = {**namespace, _CAREFUL: _together(careful)}
        return Piece(self.first, function_from(text, "evaluate", seen), careful)


def supporting(texts: Sequence[str], schema: Schema) -> Callable[[Row], bool]:
    """Whether any of some predicates over features is known to hold in a row.

    Raises `RuleProblem` at the first mistake, and for what is no feature.
    """
    lowering = Lowering(schema)
    held = []
    for text in texts:
        node = checked(text)
        held.append(lowering.truth(node).true)
        if always_holds(node, lowering):
            raise RuleProblem(0, "holds whatever the values are: it proves nothing")
    read = [source.partition("[")[0] for source in lowering.loads.values()]
    if "score" in lowering.numbers or set(read) - {"f"}:
        raise RuleProblem(0, "may read features only")
    # Read where they are asked for: mostly the first predicate tells.
    asked = _LOADED.sub(lambda name: lowering.loads[name[0]], " or ".join(held))
    source = f"def supports(f):\n    return {asked or 'False'}\n"
    supports: Callable[[Row], bool] = function_from(
        source, "supports", {"__builtins__": {}}
    )
    return supports


def _timed(clause: Clause, lines: list[str]) -> list[str]:
    """The lines, within the event times between which the clause is asked."""
    times = []
    if clause.starts_ms is not None:
        times.append(f"at >= {clause.starts_ms}")
    if clause.expires_ms is not None:
        times.append(f"at < {clause.expires_ms}")
    return _under(" and ".join(times), lines) if times else lines


def _under(condition: str, lines: list[str]) -> list[str]:
    return [f"if {condition}:", *(f"    {line}" for line in lines)]


def _if_all_is_known(lowering: Lowering, lines: list[str]) -> list[str]:
    """The lines, for when nothing that the rules read is missing.

    One sum tells of all numbers: NaN survives addition.
    """
    known = sorted(lowering.texts)
    if not lowering.numbers:
        return _under(" and ".join(known) or "True", lines)
    total = f"s = {' + '.join(sorted(lowering.numbers))}"
    return [total, *_under(" and ".join(["s == s", *known]), lines)]


def _namespace(bindings: Bindings) -> dict[str, Any]:
    return {
        "__builtins__": {},
        "NAN": nan,
        "len": len,
        **{f"MEMBERS_{field}": names for field, names in MEMBERS.items()},
        **{f"LIMIT_{name}": resolve for name, resolve in bindings.limits.items()},
        **_lists(bindings.lists),
    }


def _lists(lists: Mapping[str, Listed]) -> dict[str, Any]:
    return {f"LISTS_{name}": listed.get for name, listed in lists.items()}


def _read(loads: Mapping[str, str], lines: list[str]) -> dict[str, str]:
    """Those of the loads that some lines read, and that these read in turn."""
    read = set(_WORD.findall("\n".join(lines)))
    for name, source in reversed([*loads.items()]):
        if name in read:
            read.update(_WORD.findall(source))
    return {name: source for name, source in loads.items() if name in read}


def _function(name: str, loads: Mapping[str, str], body: list[str]) -> str:
    assigned = [f"{local} = {source}" for local, source in loads.items()]
    lines = [f"def {name}({_NAMES}):", *(f"    {line}" for line in assigned + body)]
    return "\n".join(lines) + "\n"


def _witness(node: Node | None, schema: Schema, namespace: dict[str, Any]) -> Any:
    lowering = Lowering(schema)
    body = _walk(node, lowering, holds=True) if node else []
    source = _function("witness", lowering.loads, [*body, "return None"])
    return function_from(source, "witness", namespace)


def _walk(node: Node, lowering: Lowering, *, holds: bool) -> list[str]:
    """Statements that return the first true velocity comparison below a true root.

    All children of a true AND are true; of a true OR, those that are; NOT swaps.
    """
    if node.kind is not NodeKind.CALL:
        return []
    if node.value == "!_":
        return _walk(node.children[0], lowering, holds=not holds)
    if node.value in {"_&&_", "_||_"}:
        every = (node.value == "_&&_") is holds
        lines: list[str] = []
        for child in node.children:
            inner = _walk(child, lowering, holds=holds)
            lines += inner if every else _guarded(child, lowering, inner, holds=holds)
        return lines
    return _velocity(node, lowering, holds=holds)


def _guarded(
    node: Node, lowering: Lowering, inner: list[str], *, holds: bool
) -> list[str]:
    truth = lowering.truth(node)
    condition = truth.true if holds else truth.false
    return _under(condition, inner) if inner else []


def _velocity(node: Node, lowering: Lowering, *, holds: bool) -> list[str]:
    if node.value not in {"_>_", "_>=_", "_<_", "_<=_"}:
        return []
    comparison = lowering.comparison(node)
    left, right = comparison.left, comparison.right
    operator = comparison.operator if holds else opposite(comparison.operator)
    windowed = lowering.schema.windowed
    if windowed.intersection(right.features):
        left, right, operator = right, left, flipped(operator)
    falling = [name for name in left.features if name in windowed]
    if not falling or operator not in {">", ">="} or right.features:
        return []
    return [f"return ({falling[0]!r}, {left.code}, {right.code})"]
