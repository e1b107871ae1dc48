"""The checked syntax tree of a CEL text, read from the compiler's own bytes.

The compiler hands out the CEL specification's `CheckedExpr` protobuf message. It is
small and stable, so that a reader of some forty lines keeps protobuf out of the core.
Source: github.com/google/cel-spec, proto/cel/expr/syntax.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from struct import unpack

_VARINT, _FIXED64, _BYTES = 0, 1, 2  # wire types
_MORE = 0x80  # set on every byte of a varint but its last
_POSITIONS, _COMPREHENSION = 4, 9  # field numbers of SourceInfo and Expr


class NodeKind(Enum):
    """What a node is."""

    LITERAL = "literal"
    NAME = "name"
    SELECT = "select"  # operand.field
    HAS = "has"  # has(operand.field)
    CALL = "call"  # operators are calls: "_&&_", "_>_"
    LIST = "list"
    STRUCT = "struct"
    MACRO = "macro"  # all, exists, map, filter


@dataclass(frozen=True, slots=True)
class Node:
    """One node: `value` is the literal, the name, the field or the function.

    `offset` is where it is in the text, in characters.
    """

    kind: NodeKind
    value: object
    offset: int
    children: tuple[Node, ...] = ()

    def count(self) -> int:
        """Nodes of this tree."""
        return 1 + sum(child.count() for child in self.children)


def node_from_bytes(checked: bytes) -> Node:
    """Read the tree out of the bytes that the compiler serialised.

    The outer message is a google.protobuf.Any around the CheckedExpr.
    """
    expression = _message(_message(checked, 2), 4)
    info = _message(_message(checked, 2), 5)
    offsets = dict(_offset(entry) for key, entry in _fields(info) if key == _POSITIONS)
    return _node(expression, offsets)


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Field numbers and contents of a message; numbers come as their 8 bytes."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        if tag & 7 == _VARINT:
            number, at = _varint(raw, at)
            yield tag >> 3, number.to_bytes(8, "little")
            continue
        size = 8 if tag & 7 == _FIXED64 else 4
        if tag & 7 == _BYTES:
            size, at = _varint(raw, at)
        yield tag >> 3, raw[at : at + size]
        at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < _MORE:
            return number, at


def _message(raw: bytes, wanted: int) -> bytes:
    return next((content for number, content in _fields(raw) if number == wanted), b"")


def _integer(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _offset(entry: bytes) -> tuple[int, int]:
    return _integer(_message(entry, 1)), _integer(_message(entry, 2))


def _node(raw: bytes, offsets: dict[int, int]) -> Node:
    fields = dict(_fields(raw))
    offset = offsets.get(_integer(fields.pop(2, b"")), 0)
    [(number, content)] = fields.items()
    match number:
        case 3:
            return Node(NodeKind.LITERAL, _literal(content), offset)
        case 4:
            return Node(NodeKind.NAME, _message(content, 1).decode(), offset)
        case 5:
            return _select(content, offset, offsets)
        case 6:
            return _call(content, offset, offsets)
        case 7:
            return Node(NodeKind.LIST, None, offset, _nodes(content, 1, offsets))
    return Node(
        NodeKind.MACRO if number == _COMPREHENSION else NodeKind.STRUCT, None, offset
    )


def _nodes(raw: bytes, wanted: int, offsets: dict[int, int]) -> tuple[Node, ...]:
    return tuple(
        _node(content, offsets) for number, content in _fields(raw) if number == wanted
    )


def _select(raw: bytes, offset: int, offsets: dict[int, int]) -> Node:
    kind = NodeKind.HAS if _integer(_message(raw, 3)) else NodeKind.SELECT
    return Node(kind, _message(raw, 2).decode(), offset, _nodes(raw, 1, offsets))


def _call(raw: bytes, offset: int, offsets: dict[int, int]) -> Node:
    children = _nodes(raw, 1, offsets) + _nodes(raw, 3, offsets)
    return Node(NodeKind.CALL, _message(raw, 2).decode(), offset, children)


def _literal(raw: bytes) -> object:
    """The Python value of a Constant message; None for kinds that no rule uses."""
    [(number, content)] = list(_fields(raw)) or [(1, b"")]
    match number:
        case 2:
            return bool(_integer(content))
        case 3:
            return _integer(content)
        case 5:
            return float(unpack("<d", content)[0])
        case 6:
            return content.decode()
    return None
