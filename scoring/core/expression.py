"""Filters and values of feature definitions: one text, as Python and as SQL.

The language is the comparison part of Python: field names, literals, `== != < <=
> >= in not in`, `and or not`, `+ - * /` and `known(field)`. Logic is three-valued:
what rests on a missing field is unknown, never false.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from scoring.core.decision import Outcome
from scoring.core.transaction import Channel, EntryMode, Transaction

Evaluate = Callable[[Transaction, float | None], Any]
_CHARACTERS_MAX = 1_000  # a longer filter is a policy rule in the wrong place
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
_THURSDAY = 3  # 1970-01-01, with Monday 0

TEXT_FIELDS = (
    "id", "payment_id", "currency", "card", "customer", "merchant", "terminal",
    "device", "merchant_category", "card_country", "merchant_country", "ip_country",
)  # fmt: skip
_NAMED = {"channel": Channel, "entry_mode": EntryMode}
OUTCOME = "outcome"  # of an earlier transaction's decision; only in filters
OUTCOMES = tuple(outcome.name for outcome in Outcome if outcome)
_NUMBERS: dict[str, tuple[Evaluate, str]] = {
    "amount": (lambda _, amount: amount, "amount"),
    "attempt": (lambda t, _: t.attempt or None, "nullif(attempt, 0)"),
    "hour": (
        lambda t, _: t.occurred_at_ms // _HOUR_MS % 24,
        f"(occurred_at_ms // {_HOUR_MS} % 24)",
    ),
    "weekday": (
        lambda t, _: (t.occurred_at_ms // _DAY_MS + _THURSDAY) % 7,
        f"((occurred_at_ms // {_DAY_MS} + {_THURSDAY}) % 7)",
    ),
    "latitude": (lambda t, _: t.latitude, "latitude"),
    "longitude": (lambda t, _: t.longitude, "longitude"),
}
FIELDS = (*TEXT_FIELDS, *_NAMED, *_NUMBERS)
_OUTCOME_LIST = ", ".join(OUTCOMES)
_COMPARE: dict[type[ast.cmpop], tuple[Callable[[Any, Any], Any], str]] = {
    ast.Eq: (operator.eq, "="),
    ast.NotEq: (operator.ne, "<>"),
    ast.Lt: (operator.lt, "<"),
    ast.LtE: (operator.le, "<="),
    ast.Gt: (operator.gt, ">"),
    ast.GtE: (operator.ge, ">="),
}
_ARITHMETIC: dict[type[ast.operator], tuple[Callable[[Any, Any], Any], str]] = {
    ast.Add: (operator.add, "+"),
    ast.Sub: (operator.sub, "-"),
    ast.Mult: (operator.mul, "*"),
    ast.Div: (operator.truediv, "/"),
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: `evaluate(transaction, amount)` and its SQL.

    `amount` is the amount in the reference currency, None where unknown. The
    result is None where it rests on a missing field.
    """

    text: str
    kind: str  # "text", "number" or "truth"
    evaluate: Evaluate
    sql: str


def parse(text: str) -> Expression:
    """Compile an expression; raises `ValueError` saying what would be right.

    >>> night = parse("hour <= 6 and channel == 'ECOMMERCE'")
    >>> night.evaluate(Transaction("default", "t", channel=2), None)
    True
    >>> parse("ip_country != card_country").sql
    "(nullif(ip_country, '') <> nullif(card_country, ''))"
    """
    if len(text) > _CHARACTERS_MAX:
        raise ValueError(f"longer than {_CHARACTERS_MAX} characters")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f"not an expression: {error}") from error
    kind, evaluate, sql = _node(tree.body)
    return Expression(text, kind, evaluate, sql)


def names_of(text: str) -> frozenset[str]:
    """The names that a checked expression reads.

    >>> sorted(names_of("hour <= 6 and known(card)"))
    ['card', 'hour', 'known']
    """
    nodes = ast.walk(ast.parse(text, mode="eval")) if text else ()
    return frozenset(node.id for node in nodes if isinstance(node, ast.Name))


def parse_filter(text: str) -> Expression:
    """`parse`, for a text that must be true or false; it may read the outcome.

    >>> parse_filter("hour")
    Traceback (most recent call last):
    ValueError: must be true or false, such as "hour <= 6", but is a number
    """
    expression = parse(text)
    if expression.kind != "truth":
        raise ValueError(
            f'must be true or false, such as "hour <= 6", but is a {expression.kind}'
        )
    return expression


_Compiled = tuple[str, Evaluate, str]


def _node(node: ast.expr) -> _Compiled:
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise ValueError(
            f"{ast.unparse(node)!r} is not allowed; use comparisons of fields, "
            "and, or, not, known(field)"
        )
    return compiler(node)


def _constant(node: ast.Constant) -> _Compiled:
    value = node.value
    if isinstance(value, str):
        return "text", lambda _t, _a: value, "'" + value.replace("'", "''") + "'"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", lambda _t, _a: value, repr(value)
    raise ValueError(f"{value!r} is neither a text nor a number")


def _name(node: ast.Name) -> _Compiled:
    name = node.id
    if name in _NUMBERS:
        return "number", *_NUMBERS[name]
    if name in _NAMED:
        names = [member.name for member in _NAMED[name]]
        texts = [None, *names[1:]]
        listed = ", ".join(f"'{n}'" for n in names[1:])
        return "text", lambda t, _: texts[getattr(t, name)], f"([{listed}])[{name}]"
    if name in TEXT_FIELDS:
        return "text", lambda t, _: getattr(t, name) or None, f"nullif({name}, '')"
    if name == OUTCOME:
        sql = f"nullif(upper({name}), '')"
        return "text", lambda t, _: getattr(t, OUTCOME, "") or None, sql
    close = get_close_matches(name, FIELDS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(FIELDS)}"
    raise ValueError(f"unknown field {name!r}{hint}")


def _arithmetic(node: ast.BinOp) -> _Compiled:
    if type(node.op) not in _ARITHMETIC:
        raise ValueError(f"{ast.unparse(node)!r}: only + - * / are allowed")
    act, sign = _ARITHMETIC[type(node.op)]
    left, right = _of_kind(node.left, "number"), _of_kind(node.right, "number")

    def evaluate(t: Transaction, amount: float | None) -> Any:
        a, b = left[1](t, amount), right[1](t, amount)
        if a is None or b is None or (b == 0 and act is operator.truediv):
            return None
        return act(a, b)

    return "number", evaluate, f"({left[2]} {sign} {right[2]})"


def _compare(node: ast.Compare) -> _Compiled:
    if len(node.ops) != 1:
        raise ValueError(f"{ast.unparse(node)!r}: join two comparisons with `and`")
    if isinstance(node.ops[0], ast.In | ast.NotIn):
        return _member(node)
    act, sign = _COMPARE[type(node.ops[0])]
    left = _node(node.left)
    right = _of_kind(node.comparators[0], left[0])
    _check_outcomes(node.left, node.comparators)

    def evaluate(t: Transaction, amount: float | None) -> bool | None:
        a, b = left[1](t, amount), right[1](t, amount)
        return None if a is None or b is None else bool(act(a, b))

    return "truth", evaluate, f"({left[2]} {sign} {right[2]})"


def _member(node: ast.Compare) -> _Compiled:
    listed = node.comparators[0]
    if not isinstance(listed, ast.List | ast.Tuple) or not listed.elts:
        raise ValueError(f"{ast.unparse(node)!r}: `in` needs a list of literals")
    left = _node(node.left)
    parts = [_of_kind(part, left[0]) for part in listed.elts]
    if not all(isinstance(part, ast.Constant) for part in listed.elts):
        raise ValueError(f"{ast.unparse(node)!r}: `in` needs a list of literals")
    _check_outcomes(node.left, listed.elts)
    members = {part.value for part in listed.elts if isinstance(part, ast.Constant)}
    inside = isinstance(node.ops[0], ast.In)

    def evaluate(t: Transaction, amount: float | None) -> bool | None:
        value = left[1](t, amount)
        return None if value is None else bool((value in members) is inside)

    sign = "IN" if inside else "NOT IN"
    return "truth", evaluate, f"({left[2]} {sign} ({', '.join(p[2] for p in parts)}))"


def _check_outcomes(left: ast.expr, right: list[ast.expr]) -> None:
    if not (isinstance(left, ast.Name) and left.id == OUTCOME):
        return
    for part in right:
        if isinstance(part, ast.Constant) and part.value not in OUTCOMES:
            raise ValueError(f"{part.value!r} is no outcome; known: {_OUTCOME_LIST}")


def _logic(node: ast.BoolOp) -> _Compiled:
    parts = [_of_kind(value, "truth") for value in node.values]
    ends = isinstance(node.op, ast.Or)  # the value that settles the whole

    def evaluate(t: Transaction, amount: float | None) -> bool | None:
        unknown = False
        for _, part, _sql in parts:
            value: bool | None = part(t, amount)
            if value is ends:
                return ends
            unknown = unknown or value is None
        return None if unknown else not ends

    sign = " OR " if ends else " AND "
    return "truth", evaluate, "(" + sign.join(p[2] for p in parts) + ")"


def _unary(node: ast.UnaryOp) -> _Compiled:
    if isinstance(node.op, ast.Not):
        part = _of_kind(node.operand, "truth")[1]
        sql = f"(NOT {_of_kind(node.operand, 'truth')[2]})"

        def negate(t: Transaction, amount: float | None) -> bool | None:
            value: bool | None = part(t, amount)
            return None if value is None else not value

        return "truth", negate, sql
    if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return _constant(ast.Constant(-node.operand.value))  # type: ignore[operator]
    raise ValueError(f"{ast.unparse(node)!r} is not allowed; use not(...)")


def _call(node: ast.Call) -> _Compiled:
    called = node.func.id if isinstance(node.func, ast.Name) else ""
    if called != "known" or len(node.args) != 1 or node.keywords:
        raise ValueError(f"{ast.unparse(node)!r}: the only function is known(field)")
    _, inner, sql = _node(node.args[0])
    return (
        "truth",
        lambda t, amount: inner(t, amount) is not None,
        f"({sql} IS NOT NULL)",
    )


def _of_kind(node: ast.expr, kind: str) -> _Compiled:
    compiled = _node(node)
    if compiled[0] != kind:
        raise ValueError(
            f"{ast.unparse(node)!r} is a {compiled[0]}; a {kind} is needed here"
        )
    return compiled


_COMPILERS: dict[type[ast.expr], Callable[[Any], _Compiled]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _arithmetic,
    ast.Compare: _compare,
    ast.BoolOp: _logic,
    ast.UnaryOp: _unary,
    ast.Call: _call,
}
