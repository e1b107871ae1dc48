"""A checked tree to Python source, in three-valued logic, by a whitelist.

Every predicate becomes two expressions: one that is true where the rule is known
to hold, one that is true where it is known not to hold. Where neither is, the rule
is unknown. Unknown numbers are NaN, for which every comparison is false; unknown
texts are empty.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from scoring.core.features.bounds import SHARE, Bounds
from scoring.core.policy.rules.inputs import (
    FLOAT32,
    MAPS,
    TRANSACTION,
    Schema,
    Type,
    limit_type,
)
from scoring.core.policy.rules.problem import RuleProblem, suggestion
from scoring.core.policy.rules.syntax import Node, NodeKind
from scoring.core.policy.rules.terms import (
    COMPARISONS,
    TEXT_TESTS,
    Comparison,
    Term,
    Truth,
    compared,
    known_not_in,
    literal_term,
    require_known_text,
    require_meeting,
    require_number,
    require_occurs,
    require_same_type,
    require_text_operator,
    tested,
)
from scoring.core.transaction.transaction import TEXT_CHARACTERS_MAX

INTEGER_BOUND = 2**63 - 1  # beyond it CEL raises, and Python would not
REAL_BOUND = 1e300  # beyond it a double may become infinite
LIMIT_BOUND = 1e15

_ARITHMETIC = {"_+_": "+", "_-_": "-", "_*_": "*"}
_REFUSED = {
    "_/_": "division is not allowed: multiply the other side",
    "_%_": "'%' is not allowed",
    "_?_:_": "'? :' is not allowed: write && and ||, or two rules",
    "matches": "regular expressions are not allowed: use a list, or "
    "startsWith(), endsWith(), contains()",
    "_[_]": "'[ ]' is allowed on transaction.attributes and numbers with a text only",
}


@dataclass(slots=True)
class Lowering:
    """Lowers predicates over one schema and remembers which inputs they read.

    `loads` maps a local name of the generated function to its source; `numbers` and
    `texts` are those of them that may be unknown.
    """

    schema: Schema
    loads: dict[str, str] = field(default_factory=dict)
    numbers: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    _places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places = {name: i for i, name in enumerate(self.schema.features)}

    def truth(self, node: Node) -> Truth:
        """Lower a predicate; raises `RuleProblem`."""
        if node.kind is NodeKind.LITERAL and isinstance(node.value, bool):
            return Truth(str(node.value), str(not node.value), str(node.value))
        if node.kind is NodeKind.HAS:
            return self._has(node)
        if node.kind is NodeKind.CALL and node.value in {"_&&_", "_||_", "!_"}:
            return self._connective(node)
        if node.kind is NodeKind.CALL and node.value in COMPARISONS:
            return compared(self.comparison(node))
        if node.kind is NodeKind.CALL and node.value in TEXT_TESTS:
            return tested(str(node.value), *self.tested_texts(node))
        if node.kind is NodeKind.CALL and node.value == "@in":
            return self._in(node)
        if node.kind in {NodeKind.CALL, NodeKind.MACRO, NodeKind.STRUCT}:
            raise _refused(node)
        raise RuleProblem(node.offset, "is not a condition: compare it with something")

    def may_lack(self, term: Term) -> bool:
        """Whether the value of a term that was lowered here may be unknown."""
        return term.code in self.numbers or term.code in self.texts

    def _connective(self, node: Node) -> Truth:
        parts = [self.truth(child) for child in node.children]
        if node.value == "!_":
            only = parts[0]
            return Truth(only.false, only.true, f"(not {only.plain})")
        left, right = parts
        both = node.value == "_&&_"
        holds, fails = (" and ", " or ") if both else (" or ", " and ")
        return Truth(
            f"({left.true}{holds}{right.true})",
            f"({left.false}{fails}{right.false})",
            f"({left.plain}{holds}{right.plain})",
        )

    def comparison(self, node: Node) -> Comparison:
        """The terms of a comparison, proved to be comparable."""
        operator = COMPARISONS[str(node.value)]
        left, right = (self.term(child) for child in node.children)
        require_same_type(operator, left, right, node.offset)
        if left.type is Type.TEXT:
            require_text_operator(operator, node.offset)
        if left.literal is not None and right.literal is not None:
            raise RuleProblem(node.offset, "compares two constants")
        if left.code == right.code:
            raise RuleProblem(node.offset, "compares a value with itself")
        constant = 0 if left.literal is not None else 1  # else the right one
        comparison = Comparison(operator, left, right)
        require_meeting(comparison, node.children[constant].offset)
        return comparison

    def tested_texts(self, node: Node) -> tuple[Term, Term]:
        """The terms of `text.startsWith(part)` and its kin."""
        text, part = (self.term(child) for child in node.children)
        if text.type is not Type.TEXT or part.type is not Type.TEXT:
            raise RuleProblem(node.offset, f"{node.value}() takes texts")
        if text.literal is not None and part.literal is not None:
            raise RuleProblem(node.offset, "compares two constants")
        if text.code == part.code:
            raise RuleProblem(node.offset, "compares a value with itself")
        return text, part

    def _in(self, node: Node) -> Truth:
        item, container = node.children
        term = self.term(item)
        if term.type is not Type.TEXT or term.literal is not None:
            raise RuleProblem(
                item.offset, "'in' takes a text of the transaction on its left"
            )
        if container.kind is NodeKind.LIST:
            texts = self._constants(container, term.field)
            holds = f"{term.code} in {texts}"
            return Truth(holds, known_not_in(term.code, texts), holds)
        name = self._list_name(container)
        for token in self.schema.lists[name]:
            require_occurs(term.field, token, container.offset)
        # Looked up once, however many rules ask.
        listed = f"on_{name}_{term.code}"
        self.loads[listed] = f"LISTS_{name}({term.code}, 0) > at"
        return Truth(listed, f"({term.code} and not {listed})", listed)

    def _constants(self, node: Node, field: str) -> str:
        for child in node.children:
            if not isinstance(child.value, str) or child.kind is not NodeKind.LITERAL:
                raise RuleProblem(child.offset, "'in [ ]' takes constant texts only")
            require_known_text(child.value, child.offset)
            require_occurs(field, child.value, child.offset)
        if not node.children:
            raise RuleProblem(node.offset, "the list is empty")
        return repr(tuple(str(child.value) for child in node.children))

    def _list_name(self, node: Node) -> str:
        if node.kind is not NodeKind.SELECT or _root(node) != "lists":
            raise RuleProblem(node.offset, '\'in\' takes lists.<name> or ["a", "b"]')
        name = str(node.value)
        if name not in self.schema.lists:
            raise _unknown("list", node, self.schema.lists)
        return name

    def _has(self, node: Node) -> Truth:
        if _root(node) not in {"transaction", "features", *MAPS}:
            raise RuleProblem(node.offset, "has() takes a feature or transaction field")
        term = self.term(Node(NodeKind.SELECT, node.value, node.offset, node.children))
        if term.type is Type.TEXT:
            return Truth(f"{term.code} != ''", f"not {term.code}", f"{term.code} != ''")
        known = f"{term.code} == {term.code}"
        return Truth(known, f"{term.code} != {term.code}", known)

    def term(self, node: Node) -> Term:
        """Lower a value; raises `RuleProblem`."""
        if node.kind is NodeKind.LITERAL:
            return literal_term(node)
        if node.kind is NodeKind.NAME and node.value == "score":
            self.numbers.add("score")
            return Term(Type.REAL, "score", SHARE, name="score")
        if node.kind is NodeKind.SELECT:
            return self._selected(node)
        if node.kind is NodeKind.CALL and node.value == "_[_]":
            return self._entry_at(node)
        if node.kind is NodeKind.CALL and node.value == "size":
            return self._size(node)
        if node.kind is NodeKind.CALL and node.value in _ARITHMETIC:
            return self._arithmetic(node)
        if node.kind is NodeKind.CALL and node.value == "-_":
            term = self.term(node.children[0])
            require_number(term, node)
            bounds = Bounds(0, 0, whole=True).computed("-", term.bounds)
            return Term(term.type, f"(-{term.code})", bounds, None, term.features)
        if node.kind is NodeKind.NAME:
            raise RuleProblem(node.offset, f"name a field: {node.value}.<name>")
        raise _refused(node)

    def _selected(self, node: Node) -> Term:
        root, name = _root(node), str(node.value)
        if root == "features":
            return self._feature(node, name)
        if root == "limits":
            return self._limit(node, name)
        if root in MAPS:
            return self._entry(root, name)
        if root != "transaction":
            raise RuleProblem(node.offset, "only fields of known inputs are read")
        found = TRANSACTION.get(name)
        if found is None:
            raise _unknown("field of a transaction", node, (*TRANSACTION, *MAPS))
        code = f"t_{name}"
        self.loads[code] = found.source
        if not found.required:
            (self.texts if found.type is Type.TEXT else self.numbers).add(code)
        written = f"transaction.{name}"
        return Term(found.type, code, found.bounds, field=name, name=written)

    def _feature(self, node: Node, name: str) -> Term:
        place = self._places.get(name)
        if place is None:
            raise _unknown("feature", node, self.schema.features)
        self.loads[f"f_{place}"] = f"f[{place}]"
        self.numbers.add(f"f_{place}")
        written = f"features.{name}"
        known = self.schema.bounds.get(written, FLOAT32)
        bounds = known.held(">=", FLOAT32).held("<=", FLOAT32)
        return Term(Type.REAL, f"f_{place}", bounds, None, (name,), name=written)

    def _limit(self, node: Node, name: str) -> Term:
        if name not in self.schema.limits:
            raise _unknown("limit", node, tuple(self.schema.limits))
        written, number = f"limits.{name}", self.schema.limits[name]
        bounds = self.schema.bounds.get(written, Bounds(-LIMIT_BOUND, LIMIT_BOUND))
        if number is not None:
            bounds = Bounds(number, number)
            return Term(limit_type(name), f"({number!r})", bounds, name=written)
        self.loads[f"l_{name}"] = f"LIMIT_{name}(t)"
        return Term(limit_type(name), f"l_{name}", bounds, name=written)

    def _entry_at(self, node: Node) -> Term:
        map_, key = node.children
        if map_.kind is not NodeKind.SELECT or map_.value not in MAPS:
            raise _refused(node)
        if not isinstance(key.value, str) or key.kind is not NodeKind.LITERAL:
            raise _refused(node)
        return self._entry(str(map_.value), key.value)

    def _entry(self, of: str, key: str) -> Term:
        """The value of a key of the caller's own; unknown where it is left out."""
        source = MAPS[of].source.format(key)
        known = [name for name, load in self.loads.items() if load == source]
        name = known[0] if known else f"a_{len(self.loads)}"
        self.loads[name] = source
        type_, written = MAPS[of].type, f"transaction.{of}.{key}"
        (self.texts if type_ is Type.TEXT else self.numbers).add(name)
        return Term(type_, name, MAPS[of].bounds, name=written)

    def _size(self, node: Node) -> Term:
        """The characters of a text, as CEL counts them: Unicode code points."""
        text = self.term(node.children[0])
        if text.type is not Type.TEXT or text.literal is not None:
            raise RuleProblem(node.offset, "size() takes a text of the transaction")
        code = f"n_{text.code}"
        self.loads[code] = f"(len({text.code}) or NAN)"
        if self.may_lack(text):
            self.numbers.add(code)
        bounds = Bounds(1, TEXT_CHARACTERS_MAX, whole=True)
        return Term(Type.INTEGER, code, bounds, name=f"size({text.name or 'it'})")

    def _arithmetic(self, node: Node) -> Term:
        operator = _ARITHMETIC[str(node.value)]
        left, right = (self.term(child) for child in node.children)
        require_same_type(operator, left, right, node.offset)
        require_number(left, node)
        bounds = left.bounds.computed(operator, right.bounds)
        limit = INTEGER_BOUND if left.type is Type.INTEGER else REAL_BOUND
        if max(abs(bounds.low), abs(bounds.high)) > limit:
            raise RuleProblem(node.offset, "may overflow: use smaller constants")
        features = left.features + right.features
        code = f"({left.code} {operator} {right.code})"
        return Term(left.type, code, bounds, None, features)


def _root(node: Node) -> str:
    """The name that a selection starts from; that of the map for its entries."""
    operand = node.children[0] if node.children else node
    if operand.kind is NodeKind.NAME:
        return str(operand.value)
    if operand.kind is NodeKind.SELECT and operand.value in MAPS:
        return str(operand.value) if _root(operand) == "transaction" else ""
    return ""


def _unknown(what: str, node: Node, known: Collection[str]) -> RuleProblem:
    name = str(node.value)
    hint = suggestion(name, known)
    return RuleProblem(node.offset + 1, f"{name!r} is not a {what}{hint}")


def _refused(node: Node) -> RuleProblem:
    if node.kind is NodeKind.MACRO:
        return RuleProblem(node.offset, "loops (all, exists, map, filter) not allowed")
    name = str(node.value)
    message = _REFUSED.get(name, f"{name!r} is not allowed in rules")
    if node.kind is NodeKind.STRUCT:
        message = "structures are not allowed in rules"
    return RuleProblem(node.offset, message)
