"""The values and comparisons that a rule is made of, and what they may not do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scoring.core.features.bounds import ANY, Bounds
from scoring.core.policy.rules.check import mixed_numbers
from scoring.core.policy.rules.inputs import MEMBERS, Type
from scoring.core.policy.rules.problem import RuleProblem
from scoring.core.policy.rules.syntax import Node
from scoring.core.transaction.transaction import CLOSED, never

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
# The texts that a field can be, where they are few.
CLOSED_TEXTS = {field: frozenset(names.values()) for field, names in MEMBERS.items()}
# Of a text and a part of it, by CEL's names: as Python.
TEXT_TESTS: Mapping[str, str] = {
    "startsWith": "{}.startswith({})",
    "endsWith": "{}.endswith({})",
    "contains": "({1} in {0})",
}
COMPARISONS = {f"_{operator}_": operator for operator in _OPPOSITE}


@dataclass(frozen=True, slots=True)
class Truth:
    """Python expressions: known to hold, known not to hold.

    `plain` is what holds where nothing that it reads is missing: cheaper.
    """

    true: str
    false: str
    plain: str


@dataclass(frozen=True, slots=True)
class Term:
    """A value: its type, its Python source, its bounds, what it reads.

    `field` is the transaction's, where the term is one; `name` is what rules call it,
    where it is one input and no constant.
    """

    type: Type
    code: str
    bounds: Bounds = ANY
    literal: object = None
    features: tuple[str, ...] = ()
    field: str = ""
    name: str = ""

    @property
    def varies(self) -> bool:
        """Whether it is an input of the payment, and neither constant nor limit."""
        return bool(self.name) and not self.name.startswith("limits.")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two terms that a rule compares; `operator` as in CEL and Python."""

    operator: str
    left: Term
    right: Term


def opposite(operator: str) -> str:
    """What holds where a comparison of known values does not.

    >>> opposite("<"), opposite("==")
    ('>=', '!=')
    """
    return _OPPOSITE[operator]


def flipped(operator: str) -> str:
    """The operator of the same comparison with its terms exchanged.

    >>> flipped("<="), flipped("==")
    ('>=', '==')
    """
    return _FLIPPED[operator]


def compared(comparison: Comparison) -> Truth:
    """When a comparison is known to hold, and when known not to.

    >>> five = Term(Type.REAL, "5.0", literal=5.0)
    >>> compared(Comparison("!=", Term(Type.REAL, "x"), five))
    Truth(true='(x < 5.0 or x > 5.0)', false='x == 5.0', plain='x != 5.0')
    """
    write = _compare_texts if comparison.left.type is Type.TEXT else _compare_numbers
    a, b = comparison.left, comparison.right
    operator = comparison.operator
    plain = f"{a.code} {operator} {b.code}"
    return Truth(write(operator, a, b), write(opposite(operator), a, b), plain)


def _compare_numbers(operator: str, a: Term, b: Term) -> str:
    if operator == "!=":  # NaN != 5 is true in Python, and unknown here
        return f"({a.code} < {b.code} or {a.code} > {b.code})"
    return f"{a.code} {operator} {b.code}"


def _compare_texts(operator: str, a: Term, b: Term) -> str:
    known = [term.code for term in (a, b) if term.literal is None]
    return f"({' and '.join(known)} and {a.code} {operator} {b.code})"


def tested(name: str, text: Term, part: Term) -> Truth:
    """When a text is known to have a part, and when known not to.

    >>> x = Term(Type.TEXT, "'x'", literal="x")
    >>> tested("endsWith", Term(Type.TEXT, "card"), x).false
    "(card and not card.endswith('x'))"
    """
    plain = TEXT_TESTS[name].format(text.code, part.code)
    known = " and ".join(t.code for t in (text, part) if t.literal is None)
    return Truth(f"({known} and {plain})", f"({known} and not {plain})", plain)


def known_not_in(code: str, texts: str) -> str:
    """A known text that is none of the texts.

    >>> known_not_in("card", "('a',)")
    "(card and card not in ('a',))"
    """
    return f"({code} and {code} not in {texts})"


def literal_term(node: Node) -> Term:
    """The term of a constant; raises `RuleProblem`."""
    value = node.value
    if isinstance(value, bool) or value is None:
        raise RuleProblem(node.offset, "this constant cannot be compared here")
    if isinstance(value, str):
        require_known_text(value, node.offset)
        return Term(Type.TEXT, repr(value), literal=value)
    assert isinstance(value, int | float)
    kind = Type.INTEGER if isinstance(value, int) else Type.REAL
    code = f"({value!r})" if value < 0 else repr(value)
    return Term(kind, code, Bounds(value, value, kind is Type.INTEGER), value)


def require_same_type(operator: str, left: Term, right: Term, offset: int) -> None:
    """Raise `RuleProblem` where two terms are of different types."""
    if left.type is right.type:
        return
    kinds = f"({left.type.value}, {right.type.value})"
    if Type.TEXT in (left.type, right.type):
        raise RuleProblem(offset, f"{operator!r} does not take {kinds}")
    literal = right.literal if right.literal is not None else left.literal
    raise RuleProblem(offset, mixed_numbers(operator, str(literal)))


def require_number(term: Term, node: Node) -> None:
    """Raise `RuleProblem` for a text."""
    if term.type is Type.TEXT:
        raise RuleProblem(node.offset, "arithmetic takes numbers")


def require_text_operator(operator: str, offset: int) -> None:
    """Raise `RuleProblem` for an operator that orders."""
    if operator not in {"==", "!="}:
        raise RuleProblem(offset, f"{operator!r} does not order texts: use == or in")


def require_known_text(text: str, offset: int) -> None:
    """Raise `RuleProblem` for the empty text, which is what is unknown."""
    if not text:
        raise RuleProblem(
            offset, "an empty text means unknown and equals nothing: use !has(…)"
        )


def require_occurs(field: str, text: object, offset: int) -> None:
    """Raise `RuleProblem` for a constant that a field can never be."""
    if isinstance(text, str) and (why := never(field, text)):
        raise RuleProblem(offset, f"{text!r} is never its value: {why}")


def require_meeting(comparison: Comparison, offset: int) -> None:
    """Raise `RuleProblem` where the values themselves decide a comparison.

    Fields of two different sets of codes have no value in common; a number outside
    of what an input can be is compared with it in vain.
    """
    left, right = comparison.left, comparison.right
    for one, other in ((left, right), (right, left)):
        require_occurs(other.field, one.literal, offset)
    codes = [CLOSED.get(term.field) for term in (left, right)]
    if all(codes) and codes[0] is not codes[1]:
        raise RuleProblem(offset, "never equal: they are codes of different kinds")
    if left.type is not Type.TEXT and (left.varies or right.varies):
        _require_undecided(comparison, offset)


def _require_undecided(comparison: Comparison, offset: int) -> None:
    operator, left, right = comparison.operator, comparison.left, comparison.right
    read, other = (left, right) if left.varies else (right, left)
    lies = f"{read.name} lies {read.bounds}"
    if other.name:
        lies += f", and {other.name} is {_number(other.bounds)}"
    if left.bounds.held(operator, right.bounds).empty:
        raise RuleProblem(offset, f"never holds: {lies}")
    if left.bounds.held(opposite(operator), right.bounds).empty:
        named = read.name.removeprefix("size(").rstrip(")")
        remedy = f"compare with a number between, or write has({named})"
        raise RuleProblem(offset, f"always holds: {lies}; {remedy}")


def _number(bounds: Bounds) -> str:
    return f"{bounds.low:.15g}" if bounds.low == bounds.high else str(bounds)
