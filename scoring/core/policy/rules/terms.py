"""The values and comparisons that a rule is made of, and what they may not do."""

from __future__ import annotations

from dataclasses import dataclass

from scoring.core.policy.rules.check import mixed_numbers
from scoring.core.policy.rules.inputs import Input, Type
from scoring.core.policy.rules.problem import RuleProblem
from scoring.core.policy.rules.syntax import Node
from scoring.core.transaction.transaction import CLOSED, never

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
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
    """A value: its type, its Python source, its largest magnitude, what it reads.

    `field` is the transaction's, where the term is one, and `low` its least number.
    """

    type: Type
    code: str
    bound: float = 0.0
    literal: object = None
    features: tuple[str, ...] = ()
    field: str = ""
    low: float | None = None


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


def known_not_in(code: str, texts: str) -> str:
    """A known text that is none of the texts.

    >>> known_not_in("card", "('a',)")
    "(card and card not in ('a',))"
    """
    return f"({code} and {code} not in {texts})"


def input_term(name: str, code: str, found: Input) -> Term:
    """The term of a transaction's field that stands under a local name."""
    low = None if found.type is Type.TEXT else found.low
    return Term(found.type, code, found.bound, field=name, low=low)


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
    return Term(kind, f"({value!r})" if value < 0 else repr(value), abs(value), value)


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


def require_meeting(left: Term, right: Term, offset: int) -> None:
    """Raise `RuleProblem` where two terms can never be equal, or never differ.

    Fields of two different sets of codes have no value in common; a number outside
    of what a field can be is compared with it in vain.
    """
    for one, other in ((left, right), (right, left)):
        require_occurs(other.field, one.literal, offset)
        _require_within(other, one.literal, offset)
    codes = [CLOSED.get(term.field) for term in (left, right)]
    if all(codes) and codes[0] is not codes[1]:
        raise RuleProblem(offset, "never equal: they are codes of different kinds")


def _require_within(term: Term, number: object, offset: int) -> None:
    if term.low is None or not isinstance(number, int | float):
        return
    if not term.low <= number <= term.bound:
        span = f"between {term.low:.15g} and {term.bound:.15g}"
        raise RuleProblem(offset, f"is never so: it lies {span}")
