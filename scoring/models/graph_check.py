"""A look into an ONNX file before it runs: all that it holds must be ours.

ONNX Runtime runs whatever a file asks for. We look first, without the `onnx`
package, which serving does not install.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scoring.errors import BadArtifact

# Everything that our two compilation targets emit.
OPERATORS = frozenset(
    {
        "ai.onnx.ml:TreeEnsembleRegressor",
        *(
            f":{name}"
            for name in (
                "Add", "Cast", "Concat", "Flatten", "Gather", "GatherElements",
                "GreaterOrEqual", "IsNaN", "MatMul", "Mul", "ReduceSum", "Reshape",
                "Sigmoid", "Split", "Squeeze", "Transpose", "Unsqueeze", "Where",
            )
        ),
    }
)  # fmt: skip

# What our exporter writes, by the numbers of onnx.proto: the fields of each message,
# and which message is in a field. Nothing else is let in, so that there is no
# tensor, graph or function in any corner of a file that was not looked at.
_PARTS: dict[str, dict[int, str]] = {
    "model": {1: "", 2: "", 7: "graph", 8: ""},
    "graph": {1: "node", 2: "", 5: "tensor", 11: "value", 12: "value"},
    "node": {1: "", 2: "", 4: "", 5: "attribute", 7: ""},
    "attribute": {1: "", 3: "", 4: "", 7: "", 8: "", 9: "", 20: ""},
    "tensor": {1: "", 2: "", 8: "", 9: ""},
    "value": {1: "", 2: "type"},
    "type": {1: ""},
}
# What these would do has a name.
_FOREIGN = {
    ("model", 25): "a function of its own",
    ("graph", 15): "a sparse tensor",
    ("attribute", 6): "a graph within an operator",
    ("attribute", 11): "a graph within an operator",
    ("attribute", 22): "a sparse tensor",
    ("attribute", 23): "a sparse tensor",
    ("tensor", 13): "a tensor outside the file",
    ("tensor", 14): "a tensor outside the file",
}
_NODE_OPERATOR, _NODE_DOMAIN = 4, 7
_ATTRIBUTE_STRINGS = 9
# Lists of an attribute, an entry a field, tens of thousands of them in a forest:
# floats, ints, and the two ways of our tree nodes to decide.
_RUN = re.compile(
    rb"(?:=[\s\S]{4})++|(?:@[\x80-\xff]*+[\x00-\x7f])++|(?:J\x09BRANCH_LT|J\x04LEAF)++"
)
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SEVEN_BITS, _MORE = 0x7F, 0x80
_VARINT_BYTES_MAX = 10


def check_graph(raw: bytes, *, name: str) -> None:
    """Raise `BadArtifact` for whatever our exporter never writes: another operator,
    a tensor outside the file, a sparse one, a function, a graph within the graph.
    """
    operators: set[str] = set()
    try:
        foreign = next(_foreign(raw, "model", operators), "")
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise BadArtifact(f"{name}: is not an ONNX model; copy it again") from error
    if not foreign and (others := sorted(operators - OPERATORS)):
        foreign = f"the operator {others[0].strip(':')}"
    if foreign:
        raise BadArtifact(
            f"{name}: holds {foreign}, which our exporter never writes; load only "
            "bundles made by `scoring train`"
        )
    if not operators:
        raise BadArtifact(f"{name}: holds no operators; copy it again")


def _foreign(raw: bytes, kind: str, operators: set[str]) -> Iterator[str]:
    """Yield what is in a message that is not ours; add up its operators."""
    parts = _PARTS[kind]
    if kind == "node":
        operators.add(_operator(raw))
    if kind == "attribute":
        yield from _modes(raw)
    for field, value in _fields(raw, _RUN if kind == "attribute" else None):
        if field not in parts:
            yield _FOREIGN.get((kind, field), f"field {field} of a {kind}")
        elif parts[field] and isinstance(value, bytes):
            yield from _foreign(value, parts[field], operators)


def _operator(node: bytes) -> str:
    """What a node computes, "domain:operator"."""
    texts = {k: v for k, v in _fields(node) if isinstance(v, bytes)}
    domain = texts.get(_NODE_DOMAIN, b"").decode()
    operator = texts.get(_NODE_OPERATOR, b"").decode()
    return f"{'' if domain == 'ai.onnx' else domain}:{operator}"


def _modes(attribute: bytes) -> Iterator[str]:
    """Yield each way of a tree node to decide that is not ours: a categorical split
    would be computed, and by rules that nothing here was compared with.
    """
    if b"nodes_modes" in attribute:
        for field, mode in _fields(attribute, _RUN):
            if field == _ATTRIBUTE_STRINGS and isinstance(mode, bytes):
                yield f"TreeEnsembleRegressor with {mode.decode()} splits"


def _fields(
    raw: bytes, run: re.Pattern[bytes] | None = None
) -> Iterator[tuple[int, bytes | int]]:
    """Yield (field number, content) of one protobuf message, but for fields that
    `run` matches.
    """
    at = 0
    while at < len(raw):
        if run and (skipped := run.match(raw, at)):
            at = skipped.end()
            continue
        tag, at = _varint(raw, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(raw, at)
            yield tag >> 3, value
            continue
        if kind == _LENGTH:
            size, at = _varint(raw, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("unknown wire type")
        if at + size > len(raw):
            raise IndexError("truncated")
        yield tag >> 3, raw[at : at + size]
        at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(_VARINT_BYTES_MAX):
        byte = raw[at + shift]
        value |= (byte & _SEVEN_BITS) << (7 * shift)
        if not byte & _MORE:
            return value, at + shift + 1
    raise ValueError("varint too long")
