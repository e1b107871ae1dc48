"""Filters and values of feature definitions: one text, as Python and as SQL.

The language is the comparison part of Python: field names, literals, `== != < <=
> >= in not in`, `and or not`, `+ - * /` and `known(field)`; of texts, as in CEL,
`email.endsWith("x")`, `startsWith`, `contains` and `size(email)`. Logic is
three-valued: what rests on a missing field is unknown, never false.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scoring.core.decision.decision import Outcome
from scoring.core.features.bounds import ANY, FLAG, Bounds
from scoring.core.features.event_fields import EVENT_FIELDS, never_of_event
from scoring.core.features.readable import readable
from scoring.core.transaction.transaction import MAP_FIELDS, never

_CHARACTERS_MAX = 1_000  # a longer filter is a policy rule in the wrong place
_NUMBER_MAX = 1e300  # beyond it a double becomes infinite

OUTCOME = "outcome"  # of an earlier transaction's decision; only in filters
OUTCOMES = tuple(outcome.name for outcome in Outcome if outcome)
_OUTCOME_LIST = ", ".join(OUTCOMES)
_COMPARE: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "="),
    ast.NotEq: ("!=", "<>"),
    ast.Lt: ("<", "<"),
    ast.LtE: ("<=", "<="),
    ast.Gt: (">", ">"),
    ast.GtE: (">=", ">="),
}
_ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression as Python over `t`, a transaction, and `amount`; its SQL.

    `amount` is the amount in the reference currency, None where unknown. The
    result is None where it rests on a missing field. `measure.reader` compiles it.
    """

    text: str
    kind: str  # "text", "number" or "truth"
    python: str
    sql: str


def parse(text: str) -> Expression:
    """Compile an expression; raises `ValueError` saying what would be right.

    >>> parse("amount / 100 >= 5").kind
    'truth'
    >>> parse("ip_country != card_country").sql
    "(nullif(ip_country, '') <> nullif(card_country, ''))"
    """
    if len(text) > _CHARACTERS_MAX:
        raise ValueError(f"longer than {_CHARACTERS_MAX} characters")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(f"not an expression: {error}") from error
    try:
        kind, python, sql = _node(tree.body)
        # With room for the brackets of what it is put into.
        compile(f"(((({python}))))", "expression", "eval")
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("nested too deeply; write shorter comparisons") from error
    return Expression(text, kind, python, sql)


def bounds_of(text: str) -> Bounds:
    """Between which numbers a checked expression lies, where it is known.

    >>> bounds_of("hour <= 6"), bounds_of("hour")
    (Bounds(low=0, high=1, whole=True), Bounds(low=0, high=23, whole=True))
    """
    if parse(text).kind == "truth":
        return FLAG
    node = ast.parse(text.strip(), mode="eval").body
    name = _name_in(node)
    return readable(name).bounds if name else ANY


def names_of(text: str) -> frozenset[str]:
    """The names that a checked expression reads.

    >>> sorted(names_of("hour <= 6 and known(attributes.plan)"))
    ['attributes.plan', 'hour']
    """
    nodes = ast.walk(ast.parse(text, mode="eval")) if text else ()
    found = {_name_in(node) for node in nodes if isinstance(node, ast.expr)}
    return frozenset(found) - {"", *MAP_FIELDS, *_FUNCTIONS}


def reads_event(text: str) -> bool:
    """Whether a checked filter reads a lifecycle event.

    >>> reads_event("issuer_outcome == 'DECLINED'"), reads_event("hour < 6")
    (True, False)
    """
    return not EVENT_FIELDS.keys().isdisjoint(names_of(text))


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


_Compiled = tuple[str, str, str]  # kind, Python, SQL


def _node(node: ast.expr) -> _Compiled:
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise ValueError(
            f"{ast.unparse(node)!r} is not allowed; use comparisons of fields, "
            "and, or, not, known(field)"
        )
    return compiler(node)


def _name_in(node: ast.expr) -> str:
    """The name that a node is, as `card` or `attributes["a b"]`; else ""."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute | ast.Subscript):
        of, key = node.value, _key_in(node)
        if isinstance(of, ast.Name) and of.id in MAP_FIELDS and key:
            return f"{of.id}.{key}"
    return ""


def _key_in(node: ast.Attribute | ast.Subscript) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    written = node.slice
    key = written.value if isinstance(written, ast.Constant) else None
    return key if isinstance(key, str) else ""


def _name_of(node: ast.expr) -> str:
    """A variable for the node's value: its place makes it the node's own."""
    return f"_{node.lineno}_{node.col_offset}_{node.end_col_offset}"


def _known(node: ast.expr, python: str) -> tuple[str, list[str]]:
    """What holds the node's value, and the tests that bind it and say "unknown"."""
    if isinstance(node, ast.Constant):
        return python, []
    name = _name_of(node)
    return name, [f"({name} := {python}) is None"]


def _unless(unknown: list[str], python: str) -> str:
    return f"(None if {' or '.join(unknown)} else {python})" if unknown else python


def _constant(node: ast.Constant) -> _Compiled:
    value = node.value
    if isinstance(value, str):
        return "text", repr(value), "'" + value.replace("'", "''") + "'"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) > _NUMBER_MAX:
            raise ValueError(f"a number beyond {_NUMBER_MAX:g} means nothing here")
        return "number", repr(value), repr(value)
    raise ValueError(f"{value!r} is neither a text nor a number")


def _name(node: ast.Name | ast.Attribute | ast.Subscript) -> _Compiled:
    name = _name_in(node)
    if not name:
        raise ValueError(
            f"{ast.unparse(node)!r} is not allowed; the caller's own are written "
            'attributes.plan or attributes["plan"]'
        )
    if name == OUTCOME:
        python = f"(getattr(t, {OUTCOME!r}, '') or None)"
        return "text", python, f"nullif(upper({name}), '')"
    found = EVENT_FIELDS.get(name) or readable(name)
    return found.kind, found.python, found.sql


def _arithmetic(node: ast.BinOp) -> _Compiled:
    if type(node.op) not in _ARITHMETIC:
        raise ValueError(f"{ast.unparse(node)!r}: only + - * / are allowed")
    sign = _ARITHMETIC[type(node.op)]
    _, left_python, left_sql = _of_kind(node.left, "number")
    _, right_python, right_sql = _of_kind(node.right, "number")
    left, left_unknown = _known(node.left, left_python)
    right, right_unknown = _known(node.right, right_python)
    by_zero = []
    if sign == "/":
        by_zero, right_sql = [f"{right} == 0"], f"nullif({right_sql}, 0)"
    return (
        "number",
        _unless(left_unknown + right_unknown + by_zero, f"({left} {sign} {right})"),
        f"({left_sql} {sign} {right_sql})",
    )


def _compare(node: ast.Compare) -> _Compiled:
    if len(node.ops) != 1:
        raise ValueError(f"{ast.unparse(node)!r}: join two comparisons with `and`")
    if isinstance(node.ops[0], ast.In | ast.NotIn):
        return _member(node)
    sign, sql_sign = _COMPARE[type(node.ops[0])]
    kind, left_python, left_sql = _node(node.left)
    _, right_python, right_sql = _of_kind(node.comparators[0], kind)
    _check_occurs([node.left, *node.comparators])
    left, left_unknown = _known(node.left, left_python)
    right, right_unknown = _known(node.comparators[0], right_python)
    return (
        "truth",
        _unless(left_unknown + right_unknown, f"({left} {sign} {right})"),
        f"({left_sql} {sql_sign} {right_sql})",
    )


def _member(node: ast.Compare) -> _Compiled:
    listed = node.comparators[0]
    if not isinstance(listed, ast.List | ast.Tuple) or not listed.elts:
        raise ValueError(f"{ast.unparse(node)!r}: `in` needs a list of literals")
    kind, python, sql = _node(node.left)
    parts = [_of_kind(part, kind) for part in listed.elts]
    if not all(isinstance(part, ast.Constant) for part in listed.elts):
        raise ValueError(f"{ast.unparse(node)!r}: `in` needs a list of literals")
    _check_occurs([node.left, *listed.elts])
    left, unknown = _known(node.left, python)
    sign = "in" if isinstance(node.ops[0], ast.In) else "not in"
    members = ", ".join(part[1] for part in parts)
    texts = ", ".join(part[2] for part in parts)
    return (
        "truth",
        _unless(unknown, f"({left} {sign} {{{members}}})"),
        f"({sql} {sign.upper()} ({texts}))",
    )


def _check_occurs(values: list[ast.expr]) -> None:
    """Refuse a constant that the field beside it can never be."""
    for field in values:
        if not isinstance(field, ast.Name):
            continue
        for part in values:
            if not isinstance(part, ast.Constant):
                continue
            if field.id == OUTCOME and part.value not in OUTCOMES:
                raise ValueError(
                    f"{part.value!r} is no outcome; known: {_OUTCOME_LIST}"
                )
            told = str(part.value)
            if why := never(field.id, told) or never_of_event(field.id, told):
                raise ValueError(f"{field.id} is never {part.value!r}: {why}")


def _logic(node: ast.BoolOp) -> _Compiled:
    parts = [_of_kind(value, "truth") for value in node.values]
    ends = isinstance(node.op, ast.Or)  # the value that settles the whole
    settled, unknown = "", []
    for value, (_, python, _sql) in zip(node.values, parts, strict=True):
        name = _name_of(value)
        settled += f"{ends} if ({name} := {python}) is {ends} else "
        unknown.append(f"{name} is None")
    sign = " OR " if ends else " AND "
    return (
        "truth",
        f"({settled}None if {' or '.join(unknown)} else {not ends})",
        "(" + sign.join(part[2] for part in parts) + ")",
    )


def _unary(node: ast.UnaryOp) -> _Compiled:
    if isinstance(node.op, ast.Not):
        _, python, sql = _of_kind(node.operand, "truth")
        name, unknown = _known(node.operand, python)
        return "truth", _unless(unknown, f"(not {name})"), f"(NOT {sql})"
    if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        kind, python, sql = _constant(node.operand)
        if kind == "number":
            return kind, f"-{python}", f"-{sql}"
    raise ValueError(f"{ast.unparse(node)!r} is not allowed; use not(...)")


def _call(node: ast.Call) -> _Compiled:
    if isinstance(node.func, ast.Attribute) and not node.keywords:
        called, arguments = node.func.attr, [node.func.value, *node.args]
        if called == "known":
            called = ""  # a function's own: known(email)
    else:
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        arguments = list(node.args)
        if called in _OF_TEXTS:
            called = ""  # a text's own: email.contains("x")
    compiler = _FUNCTIONS.get(called)
    if compiler is None or node.keywords:
        raise ValueError(f"{ast.unparse(node)!r}: the functions are {_FUNCTION_LIST}")
    takes = 2 if called in _OF_TEXTS else 1
    if len(arguments) != takes:
        raise ValueError(f"{ast.unparse(node)!r}: the functions are {_FUNCTION_LIST}")
    return compiler(called, arguments)


def _is_known(_called: str, arguments: list[ast.expr]) -> _Compiled:
    _, python, sql = _node(arguments[0])
    _, unknown = _known(arguments[0], python)
    known = f"(not ({unknown[0]}))" if unknown else "True"
    return "truth", known, f"({sql} IS NOT NULL)"


def _size(_called: str, arguments: list[ast.expr]) -> _Compiled:
    """The characters of a text, as CEL counts them: Unicode code points."""
    _, python, sql = _of_kind(arguments[0], "text")
    text, unknown = _known(arguments[0], python)
    return "number", _unless(unknown, f"len({text})"), f"length({sql})"


def _of_texts(called: str, arguments: list[ast.expr]) -> _Compiled:
    (_, python, sql), (_, part_python, part_sql) = (
        _of_kind(argument, "text") for argument in arguments
    )
    text, unknown = _known(arguments[0], python)
    part, part_unknown = _known(arguments[1], part_python)
    if isinstance(arguments[1], ast.Constant) and not arguments[1].value:
        raise ValueError(f"{called}: an empty text is part of every text")
    on_python, on_sql = _OF_TEXTS[called]
    return (
        "truth",
        _unless(unknown + part_unknown, f"({on_python.format(text, part)})"),
        f"{on_sql}({sql}, {part_sql})",
    )


# Of a text and a part of it, in CEL's words: as Python and in SQL.
_OF_TEXTS = {
    "startsWith": ("{}.startswith({})", "starts_with"),
    "endsWith": ("{}.endswith({})", "ends_with"),
    "contains": ("{1} in {0}", "contains"),
}
_FUNCTIONS: dict[str, Callable[[str, list[ast.expr]], _Compiled]] = {
    "known": _is_known,
    "size": _size,
    **dict.fromkeys(_OF_TEXTS, _of_texts),
}
_FUNCTION_LIST = (
    "known(field), size(field), field.startsWith(text), field.endsWith(text) and "
    "field.contains(text)"
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
    ast.Attribute: _name,
    ast.Subscript: _name,
    ast.BinOp: _arithmetic,
    ast.Compare: _compare,
    ast.BoolOp: _logic,
    ast.UnaryOp: _unary,
    ast.Call: _call,
}
