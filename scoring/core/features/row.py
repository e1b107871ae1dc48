"""One payment's vector: every formula of a catalogue in one generated function.

A batch of one would spend its time on arrays of one number. The function is made of
the text of `derivation.py`, so the two cannot come to mean different things; its
floats divide by zero and compare with NaN as arrays do there, to the same bits.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from math import copysign, inf, isnan, nan, radians, sqrt
from typing import Any

import numpy as np

from scoring.core.features import derivation
from scoring.core.features.catalogue import Catalogue, Feature
from scoring.core.features.derivation import FORMULAS
from scoring.core.features.expression import parse
from scoring.core.features.measure import counterpart_hash
from scoring.core.features.readable import in_steps, measured_python, text_of
from scoring.core.generated_code import function_from
from scoring.core.transaction.transaction import Transaction

# (stored slots, payment, its amount in the reference currency) -> all features in the
# catalogue's order; NaN and None are missing.
Row = Callable[[list[float], Transaction, int | None], list[float | None]]
_PLACES = ("latitude", "longitude")
_CONSTANTS = {
    name: repr(value)
    for name, value in vars(derivation).items()
    if isinstance(value, float)
}


@cache
def row_of(catalogue: Catalogue) -> Row:
    """The function that computes a payment's features."""
    row: Row = function_from(source_of(catalogue), "row", _FLOATS)
    return row


def source_of(catalogue: Catalogue) -> str:
    """The function's text."""
    lines = [
        "at_ms = t.occurred_at_ms",
        "real_amount = nan if amount is None else float(amount)",
        *(f"{place} = own_value(t, {place!r})" for place in _PLACES),
    ]
    features = list(catalogue.features.values())
    owns = [f.of for f in features if "own" in _asked(f)]
    own = {field: f"own_{i}" for i, field in enumerate(dict.fromkeys(owns))}
    lines += [f"{name} = own_value(t, {field!r})" for field, name in own.items()]
    measured = _measured([f for f in features if "amount" in _asked(f)])
    lines += [f"{name} = {text}" for name, text in measured.values()]
    names = {**own, **{m: name for m, (name, _) in measured.items()}}
    values = []
    for i, feature in enumerate(features):
        *before, value = _statements(feature, catalogue.horizon_ms, names)
        if feature.scale != 1:
            value = f"({value}) / {float(feature.scale)!r}"
        if feature.spoiled and feature.amount_counts:
            every, known = feature.amount_counts
            value = f"(nan if s[{known}] < s[{every}] else {value})"
        # Names of the formula are free again for the next one.
        lines += before and [*before, f"f{i} = {value}"]
        values.append(f"f{i}" if before else value)
    lines.append(f"return [{', '.join(values)}]")
    return "\n    ".join(["def row(s, t, amount):", *lines])


def own_value(transaction: Transaction, field: str) -> float:
    """A text field as its counterpart hash, or a coordinate; NaN unknown.

    >>> own_value(Transaction("default", "t1"), "device")
    nan
    """
    if field in _PLACES:
        place: float | None = getattr(transaction, field)
        return nan if place is None else place
    text = text_of(field)(transaction)
    return float(counterpart_hash(text)) if text else nan


def _statements(
    feature: Feature, horizon_ms: int, names: Mapping[str, str]
) -> list[str]:
    """Assignments, and last the expression of the feature's value."""
    if feature.derive == "value":
        return [parse(feature.expression).python]
    [formula] = ast.parse(inspect.getsource(FORMULAS[feature.derive])).body
    assert isinstance(formula, ast.FunctionDef)
    slots = zip(formula.args.args, feature.slots, strict=True)
    on_floats = _OnFloats(
        {
            **{slot.arg: f"s[{i}]" for slot, i in slots},
            "amount": names.get(feature.measure, "real_amount"),
            "own": names.get(feature.of, ""),
            "default": repr(default_of(feature)),
            "window_ms": repr(feature.window_ms),
            "fraud_prior": repr(feature.prior[0]),
            "count_prior": repr(feature.prior[1]),
            "horizon_ms": repr(horizon_ms),
            **_CONSTANTS,
        }
    )
    *before, last = [on_floats.visit(statement) for statement in formula.body]
    assert isinstance(last, ast.Return)
    assert last.value
    return [ast.unparse(node) for node in (*before, last.value)]


def default_of(feature: Feature) -> float:
    """The default as its stored numbers are scaled, NaN where there is none."""
    return nan if feature.default is None else feature.default * feature.scale


def measured_value(measure: str) -> Callable[[Transaction, int | None], float]:
    """A function that reads a payment's own measure, NaN unknown; of its amount.

    >>> measured_value("numbers.x")(Transaction("default", "t1", numbers={"x": 0.5}), 1)
    5000.0
    """
    source = f"""def read(t, amount):
    value = {measured_python(measure)}
    return nan if value is None else float(value)"""
    read: Callable[[Transaction, int | None], float] = function_from(
        source, "read", {"in_steps": in_steps, "nan": nan}
    )
    return read


def _measured(features: list[Feature]) -> dict[str, tuple[str, str]]:
    """Of measures that are not the amount: their variables, and what they are."""
    found = dict.fromkeys(f.measure for f in features if f.measure != "amount")
    return {
        measure: (
            f"measured_{i}",
            f"nan if (v := {measured_python(measure)}) is None else float(v)",
        )
        for i, measure in enumerate(found)
    }


def _asked(feature: Feature) -> Mapping[str, Any]:
    formula = FORMULAS.get(feature.derive)
    return signature(formula).parameters if formula else {}


class _OnFloats(ast.NodeTransformer):
    """A formula's text, for numbers instead of arrays of them."""

    def __init__(self, stands_for: Mapping[str, str]) -> None:
        self._stands_for = stands_for

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """What a parameter means."""
        text = self._stands_for.get(node.id, node.id)
        return ast.parse(text, mode="eval").body

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Compute only the chosen side of a `where`."""
        self.generic_visit(node)
        if ast.unparse(node.func) != "where":
            return node
        return ast.IfExp(*node.args)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """Divide by zero as arrays do."""
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        by = node.right
        if isinstance(by, ast.Constant):
            return node
        by_zero = ast.Call(ast.Name("_by_zero"), [node.left, by], [])
        return ast.IfExp(by, node, by_zero)


def _by_zero(above: float, zero: float) -> float:
    if above == 0 or isnan(above):
        return nan
    return copysign(inf, above) * copysign(1.0, zero)


def _maximum(a: float, b: float) -> float:
    return a if a >= b or isnan(a) else b


def _minimum(a: float, b: float) -> float:
    return a if a <= b or isnan(a) else b


# The sines are numpy's: those of another library may differ in their last bit.
def _as_float(function: Callable[[float], Any]) -> Callable[[float], float]:
    return lambda x: float(function(x))


_FLOATS: dict[str, Any] = {
    "nan": nan,
    "isnan": isnan,
    "sqrt": sqrt,
    "maximum": _maximum,
    "minimum": _minimum,
    "radians": radians,
    "sin": _as_float(np.sin),
    "cos": _as_float(np.cos),
    "arcsin": _as_float(np.arcsin),
    "_by_zero": _by_zero,
    "own_value": own_value,
    "in_steps": in_steps,
}
