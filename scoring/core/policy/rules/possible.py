"""Which inputs a predicate can hold for: a rule for no payment, or for all, is found.

A predicate is assumed to hold, and what that says of each input narrows what the input
can be. Where nothing is left, it never holds. Only what is certain is narrowed, so that
a predicate that can hold is never taken for one that cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import contains
from typing import Any

from scoring.core.features.bounds import ANY, Bounds
from scoring.core.policy.rules.code_generation import Lowering
from scoring.core.policy.rules.problem import RuleProblem
from scoring.core.policy.rules.syntax import Node, NodeKind
from scoring.core.policy.rules.terms import (
    CLOSED_TEXTS,
    TEXT_TESTS,
    Comparison,
    Term,
    flipped,
    opposite,
)

_IMPOSSIBLE = (
    "never holds: no payment fits it beside what else is asked for; correct it, or "
    "write `mode: off`"
)


HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": contains,
}


@dataclass(frozen=True, slots=True)
class Domain:
    """What one input can still be: `among` these texts (None: any), but none of `but`.

    `known` and `missing` say whether it can be so.
    """

    bounds: Bounds = ANY
    among: frozenset[str] | None = None
    but: frozenset[str] = frozenset()
    known: bool = True
    missing: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is left, not even to be missing."""
        nothing = self.among is not None and not self.among - self.but
        return not self.missing and (not self.known or nothing or self.bounds.empty)

    def or_(self, other: Domain) -> Domain:
        """What it can be where either holds."""
        either = None
        if self.among is not None and other.among is not None:
            either = (self.among - self.but) | (other.among - other.but)
        return Domain(
            self.bounds.around(other.bounds),
            either,
            self.but & other.but,
            self.known or other.known,
            self.missing or other.missing,
        )


Inputs = Mapping[
    str, Domain
]  # by the local name; those that are as they always are lack


@dataclass(slots=True)
class Narrowing:
    """Narrows inputs by predicates of one lowering.

    `offset` is where the last predicate is for which nothing was left.
    """

    lowering: Lowering
    offset: int = 0

    def narrowed(self, node: Node, inputs: Inputs, *, holds: bool) -> Inputs | None:
        """What is left where a predicate is known to hold, or to fail; or None."""
        if node.kind is NodeKind.CALL and node.value == "!_":
            return self.narrowed(node.children[0], inputs, holds=not holds)
        if node.kind is NodeKind.CALL and node.value in {"_&&_", "_||_"}:
            every = (node.value == "_&&_") is holds
            return (self._both if every else self._either)(node, inputs, holds=holds)
        left = self._leaf(node, inputs, holds=holds)
        if left is None:
            self.offset = node.offset
        return left

    def _both(self, node: Node, inputs: Inputs, *, holds: bool) -> Inputs | None:
        left: Inputs | None = inputs
        for child in node.children:
            left = None if left is None else self.narrowed(child, left, holds=holds)
        return left

    def _either(self, node: Node, inputs: Inputs, *, holds: bool) -> Inputs | None:
        ways = [self.narrowed(child, inputs, holds=holds) for child in node.children]
        open_ = [way for way in ways if way is not None]
        if len(open_) < len(ways):
            return open_[0] if open_ else None
        first, second = open_
        # What only one of them narrows is, by the other, as it was.
        both = first.keys() & second.keys()
        return {name: first[name].or_(second[name]) for name in both}

    def _leaf(self, node: Node, inputs: Inputs, *, holds: bool) -> Inputs | None:
        if node.kind is NodeKind.LITERAL:
            return inputs if node.value is holds else None
        if node.kind is NodeKind.HAS:
            select = Node(NodeKind.SELECT, node.value, node.offset, node.children)
            term = self.lowering.term(select)
            domain = self._domain(term, inputs)
            left = replace(domain, known=domain.known and holds,
                           missing=domain.missing and not holds)  # fmt: skip
            return _with(inputs, term, left)
        if node.value == "@in":
            return self._listed(node, inputs, holds=holds)
        if node.value in TEXT_TESTS:
            return self._tested(node, inputs, holds=holds)
        return self._compared(self.lowering.comparison(node), inputs, holds=holds)

    def _listed(self, node: Node, inputs: Inputs, *, holds: bool) -> Inputs | None:
        item, container = node.children
        term = self.lowering.term(item)
        known = replace(self._domain(term, inputs), missing=False)
        if container.kind is NodeKind.LIST:
            texts = frozenset(str(child.value) for child in container.children)
            known = _texts(known, texts, among=holds)
        return _with(inputs, term, known)

    def _tested(self, node: Node, inputs: Inputs, *, holds: bool) -> Inputs | None:
        """Both texts are known; one of a few is one that has the part, or has not."""
        left: Inputs | None = inputs
        text, part = self.lowering.tested_texts(node)
        for term in (text, part):
            if term.literal is None and left is not None:
                known = replace(self._domain(term, left), missing=False)
                if known.among is not None and term is text and part.literal:
                    has = HOLDS[str(node.value)]
                    fit = [t for t in known.among if has(t, part.literal) is holds]
                    known = _texts(known, frozenset(fit), among=True)
                left = _with(left, term, known)
        return left

    def _compared(
        self, comparison: Comparison, inputs: Inputs, *, holds: bool
    ) -> Inputs | None:
        operator, a, b = comparison.operator, comparison.left, comparison.right
        if not (a.varies or b.varies or a.features or b.features):
            return inputs  # limits are dials: what they make of a rule may change
        if not holds:
            operator = opposite(operator)
        left: Inputs | None = inputs
        for one, said, other in ((a, operator, b), (b, flipped(operator), a)):
            if left is not None:
                left = self._against(one, said, other, left)
        return left

    def _against(
        self, term: Term, operator: str, other: Term, inputs: Inputs
    ) -> Inputs | None:
        domain = replace(self._domain(term, inputs), missing=False)
        if isinstance(other.literal, str):
            domain = _texts(domain, frozenset([other.literal]), among=operator == "==")
        elif not isinstance(term.literal, str):
            met = self._domain(other, inputs).bounds
            domain = replace(domain, bounds=domain.bounds.held(operator, met))
        return _with(inputs, term, domain)

    def _domain(self, term: Term, inputs: Inputs) -> Domain:
        found = inputs.get(term.code)
        return found or Domain(
            term.bounds,
            CLOSED_TEXTS.get(term.field),
            missing=self.lowering.may_lack(term),
        )


def _texts(domain: Domain, texts: frozenset[str], *, among: bool) -> Domain:
    if not among:
        return replace(domain, but=domain.but | texts)
    return replace(
        domain, among=texts if domain.among is None else domain.among & texts
    )


def _with(inputs: Inputs, term: Term, domain: Domain) -> Inputs | None:
    """The inputs with one of them narrowed; None where nothing of it is left."""
    return None if domain.empty else {**inputs, term.code: domain}


def always_holds(node: Node, lowering: Lowering) -> bool:
    """Whether a predicate holds for every payment whose inputs are known.

    Raises `RuleProblem` for one that holds for none.
    """
    narrowing = Narrowing(lowering)
    if narrowing.narrowed(node, {}, holds=True) is None:
        raise RuleProblem(narrowing.offset, _IMPOSSIBLE)
    return narrowing.narrowed(node, {}, holds=False) is None
