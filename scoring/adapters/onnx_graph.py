"""A look into an ONNX file before it runs: every operator must be one of ours.

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

# Field numbers of onnx.proto (ModelProto, GraphProto, NodeProto, TensorProto).
_MODEL_GRAPH, _MODEL_FUNCTIONS = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_STRINGS = 9
# How a tree node decides, tens of thousands of times in a graph, as it is encoded.
_OUR_MODES = re.compile(rb"(?:J\x09BRANCH_LT|J\x04LEAF)+")
_TENSOR_LOCATION = 14
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SEVEN_BITS, _MORE = 0x7F, 0x80
_VARINT_BYTES_MAX = 10


def check_graph(raw: bytes, *, name: str) -> None:
    """Raise `BadArtifact` for an operator that is not ours, or for outside data."""
    try:
        found = set(_operators(raw))
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise BadArtifact(f"{name}: is not an ONNX model; copy it again") from error
    foreign = sorted(found - OPERATORS)
    if foreign:
        raise BadArtifact(
            f"{name}: uses the operator {foreign[0].strip(':')}, which our exporter "
            "never writes; load only bundles made by `scoring train`"
        )
    if not found:
        raise BadArtifact(f"{name}: holds no operators; copy it again")


def _operators(raw: bytes) -> Iterator[str]:
    """Yield "domain:operator" of every node."""
    for field, value in _fields(raw):
        if field == _MODEL_FUNCTIONS:
            yield "a function of its own"
        if field == _MODEL_GRAPH and isinstance(value, bytes):
            for part, inner in _fields(value):
                if isinstance(inner, bytes):
                    yield from _part(part, inner)


def _part(field: int, raw: bytes) -> Iterator[str]:
    if field == _GRAPH_NODE:
        texts = {k: v for k, v in _fields(raw) if isinstance(v, bytes)}
        yield from _modes(raw)
        operator = texts.get(_NODE_OPERATOR, b"").decode()
        domain = texts.get(_NODE_DOMAIN, b"").decode()
        yield f"{'' if domain == 'ai.onnx' else domain}:{operator}"
    if field == _GRAPH_INITIALIZER and _TENSOR_LOCATION in dict(_fields(raw)):
        yield "a tensor outside the file"


def _modes(node: bytes) -> Iterator[str]:
    """Yield each way of a tree node to decide that is not ours: a categorical split
    would be computed, and by rules that nothing here was compared with.
    """
    for field, attribute in _fields(node):
        if field == _NODE_ATTRIBUTE and isinstance(attribute, bytes):
            if b"nodes_modes" not in attribute:
                continue
            for inner, mode in _fields(_OUR_MODES.sub(b"", attribute)):
                if inner == _ATTRIBUTE_STRINGS and isinstance(mode, bytes):
                    yield f"TreeEnsembleRegressor with {mode.decode()} splits"


def _fields(raw: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield (field number, content) of one protobuf message."""
    at = 0
    while at < len(raw):
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
