"""A checked predicate to DuckDB SQL, in the logic of the generated function.

The function and the SQL are made of one syntax tree. Here unknown is NULL, throughout:
an input that may be NaN or an empty text is read as NULL, and SQL's own three-valued
logic then is that of the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scoring.core.policy.rules.inputs import MAPS, MEMBERS, TRANSACTION, Type
from scoring.core.policy.rules.syntax import Node, NodeKind
from scoring.core.policy.rules.terms import COMPARISONS
from scoring.core.transaction.transaction import DERIVED, FIELD_OF
from scoring.training.offline.derived_sql import DERIVED_SQL

_ARITHMETIC = {"_+_": "+", "_-_": "-", "_*_": "*"}
_TEXT_TESTS = {
    "startsWith": "starts_with",
    "endsWith": "ends_with",
    "contains": "contains",
}
_DERIVED_OF = {field.name: of for field, of in DERIVED.items()}


@dataclass(frozen=True, slots=True)
class ListedSql:
    """A look-up of one input in one list: the column that has its end, if any.

    `key` is the SQL by which the list's table knows the input.
    """

    list: str
    key: str
    column: str


@dataclass(frozen=True, slots=True)
class ListTable:
    """A table of a list: token, since and until; `key` makes a token of an input."""

    name: str
    key: str = "{}"


@dataclass(slots=True)
class SqlInputs:
    """What predicates read, each once: `columns` maps a local name to its source.

    The sources are over a relation that has a transaction's fields, `features` and
    `score`; `listed` are joined with the lists' tokens.
    """

    features: tuple[str, ...]
    columns: dict[str, str] = field(default_factory=dict)
    listed: dict[tuple[str, str], ListedSql] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def named(self, source: str) -> str:
        """The local name of a source."""
        if source not in self._names:
            self._names[source] = f"i{len(self._names)}"
            self.columns[self._names[source]] = source
        return self._names[source]

    def until(self, table: ListTable, column: str) -> str:
        """The local name of the end of a list's entry for an input."""
        key = (table.name, column)
        if key not in self.listed:
            name = f"u{len(self.listed)}"
            self.listed[key] = ListedSql(table.name, table.key.format(column), name)
        return self.listed[key].column


@dataclass(frozen=True, slots=True)
class SqlLowering:
    """Lowers the trees of one policy, which its load has checked.

    `limits` are the SQL of each limit; `lists` has the table of each list.
    """

    inputs: SqlInputs
    limits: Mapping[str, str]
    lists: Mapping[str, ListTable]

    def predicate(self, node: Node) -> str:
        """A condition: true, false, or NULL where it is unknown."""
        if node.kind is NodeKind.LITERAL:
            return "true" if node.value else "false"
        if node.kind is NodeKind.HAS:
            return f"({self._selected(node)} IS NOT NULL)"
        if node.value == "!_":
            return f"(NOT {self.predicate(node.children[0])})"
        if node.value in {"_&&_", "_||_"}:
            word = "AND" if node.value == "_&&_" else "OR"
            left, right = (self.predicate(child) for child in node.children)
            return f"({left} {word} {right})"
        if node.value == "@in":
            return self._in(*node.children)
        left, right = (self._term(child) for child in node.children)
        if node.value in _TEXT_TESTS:
            return f"{_TEXT_TESTS[str(node.value)]}({left}, {right})"
        operator = COMPARISONS[str(node.value)].replace("==", "=").replace("!=", "<>")
        return f"({left} {operator} {right})"

    def _in(self, item: Node, container: Node) -> str:
        text = self._term(item)
        if container.kind is NodeKind.LIST:
            texts = ", ".join(
                text_sql(str(child.value)) for child in container.children
            )
            return f"({text} IN ({texts}))"
        until = self.inputs.until(self.lists[str(container.value)], text)
        return f"CASE WHEN {text} IS NOT NULL THEN coalesce({until}, 0) > at_ms END"

    def _term(self, node: Node) -> str:
        if node.kind is NodeKind.LITERAL:
            return _constant(node.value)
        if node.kind is NodeKind.NAME:
            return self.inputs.named(known_number("score"))
        if node.kind is NodeKind.SELECT:
            return self._selected(node)
        if node.value == "_[_]":
            map_, key = node.children
            return self.inputs.named(_entry(str(map_.value), str(key.value)))
        if node.value == "size":
            return f"length({self._term(node.children[0])})"
        if node.value == "-_":
            return f"(-{self._term(node.children[0])})"
        left, right = (self._term(child) for child in node.children)
        return f"({left} {_ARITHMETIC[str(node.value)]} {right})"

    def _selected(self, node: Node) -> str:
        root, name = str(node.children[0].value), str(node.value)
        if root == "features":
            # Lists count from 1; what lies beyond one is NULL.
            place = self.inputs.features.index(name) + 1
            return self.inputs.named(f"{known_number(f'features[{place}]')}::DOUBLE")
        if root == "limits":
            return self.limits[name]
        if root in MAPS:
            return self.inputs.named(_entry(root, name))
        return self.inputs.named(field_sql(name))


def field_sql(name: str) -> str:
    """A field of a transaction as rules see it, NULL where it is not known.

    >>> field_sql("card"), field_sql("attempt")
    ("nullif(card, '')", 'nullif(attempt, 0)::BIGINT')
    """
    if name in _DERIVED_OF:
        own = f"coalesce({_DERIVED_OF[name]}, '')"
        return f"nullif({DERIVED_SQL[name](own)}, '')"
    field, kind = FIELD_OF[name], TRANSACTION[name].type
    if name in MEMBERS:
        members = " ".join(
            f"WHEN {number} THEN '{member}'" for number, member in MEMBERS[name].items()
        )
        return f"CASE {name} {members} END"
    if kind is Type.TEXT:
        return f"nullif({name}, '')"
    if field.absent is None or field.required:
        return f"{name}::BIGINT"
    return f"nullif({name}, 0)::BIGINT"


def _entry(of: str, key: str) -> str:
    value = f"{of}[{text_sql(key)}]"
    return f"nullif({value}, '')" if MAPS[of].type is Type.TEXT else known_number(value)


def known_number(source: str) -> str:
    """A number with NULL in the place of NaN, which DuckDB holds above all numbers."""
    return f"CASE WHEN NOT isnan({source}) THEN {source} END"


def _constant(value: object) -> str:
    """A constant as SQL: a decimal is a DOUBLE, of the digits that Python writes.

    >>> _constant(0.1), _constant(-5), _constant("it's")
    ("'0.1'::DOUBLE", '(-5)::BIGINT', "'it''s'")
    """
    if isinstance(value, str):
        return text_sql(value)
    return number_sql(value) if isinstance(value, int | float) else "NULL"


def number_sql(value: float) -> str:
    """A number as SQL: a real is a DOUBLE, and no DECIMAL."""
    if isinstance(value, int):
        return f"({value})::BIGINT"  # not INTEGER, whose products overflow
    return f"'{value!r}'::DOUBLE"


def text_sql(text: str) -> str:
    r"""A text as SQL, whatever it holds.

    >>> text_sql("a\0b")
    "('a' || chr(0) || 'b')"
    """
    parts = ["'" + part.replace("'", "''") + "'" for part in text.split("\0")]
    return parts[0] if len(parts) == 1 else f"({' || chr(0) || '.join(parts)})"
