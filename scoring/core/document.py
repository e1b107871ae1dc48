"""Files that people edit: YAML text to a validated model, or a located refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from difflib import get_close_matches
from math import inf
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import ErrorDetails

from scoring.errors import BadArtifact

M = TypeVar("M", bound=BaseModel)
_CHARACTERS_MAX = 4_000_000  # a policy of 4 MB is a list in the wrong place
_DEPTH_MAX = 32  # no file of ours is deeper than 8; the parser recurses
_DIGITS_MAX = 400  # a float holds no larger number
_WRITTEN_OUT_MAX = 2 * _CHARACTERS_MAX  # with every alias in full: nested, they explode
# The C parser where there is one: a long list of tokens loads several times faster.
_BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _LOADER(_BASE):  # type: ignore[misc, valid-type]  # chosen at import
    """YAML 1.2's core schema: `off`, `no`, `1:30` and dates are texts, 010 is ten."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - as it is inherited
        """The value of a node; what is none of its tag is refused with its line."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{str(node.value)[:40]!r} is no {kind}", node.start_mark
            ) from error


# The core schema, https://yaml.org/spec/1.2.2/#1032-tag-resolution, and merge keys.
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        (
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
            r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
        ),
        list("-+.0123456789"),
    ),
    ("merge", "<<", ["<"]),
):
    _LOADER.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), _first
    )


def _whole(loader: Any, node: yaml.ScalarNode) -> int:
    """An integer: decimal however many zeros lead, 0o17 octal, 0x1F hexadecimal."""
    text = str(loader.construct_scalar(node))
    if len(text) > _DIGITS_MAX:
        raise ValueError("too long")
    return int(text, 10) if text.lstrip("+-").isdecimal() else int(text, 0)


def _decimal(loader: Any, node: yaml.ScalarNode) -> float:
    text = str(loader.construct_scalar(node)).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_LOADER.add_constructor("tag:yaml.org,2002:int", _whole)
_LOADER.add_constructor("tag:yaml.org,2002:float", _decimal)
# pydantic's words where they speak of Python; the rest of them stay as they are.
_PLAIN = {
    "missing": "is required",
    "model_type": "must be a mapping of fields, {field: value}",
    "dict_type": "must be a mapping, {name: value}",
    "tuple_type": "must be a list, [a, b]",
    "list_type": "must be a list, [a, b]",
    "string_type": "must be a text; put it in quotes",
    "float_type": "must be a number, not in quotes",
    "int_type": "must be a whole number, not in quotes",
    "timezone_aware": "needs a time zone, such as 2026-12-31T00:00:00Z",
    "too_short": "must hold at least one",
}
# Where pydantic went, and what no file says: a mapping's key, a kind of a union.
_INNER = re.compile(r"\[key\]|literal\[.*\]")


def several(value: Any) -> Any:
    """One value is a list of one.

    >>> several("EUR"), several(["EUR", "USD"])
    (('EUR',), ('EUR', 'USD'))
    """
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _is_one(value: object) -> object:
    if type(value) is not int or value != 1:
        raise ValueError("must be 1, the version of this format")
    return value


# Not 1.0, true or "1", which compare equal or read alike.
FormatVersion = Annotated[Literal[1], BeforeValidator(_is_one)]


def load(text: str, model: type[M], *, name: str) -> M:
    """Validate YAML text against a model.

    Raises `BadArtifact`, one line for each mistake: "file:line: field: problem".
    `name` is the file as the reader knows it.
    """
    if len(text) > _CHARACTERS_MAX:
        raise BadArtifact(f"{name}: larger than {_CHARACTERS_MAX} characters")
    try:
        _refuse_depth(text, name)
        loader = _LOADER(text)
        root = loader.get_single_node()
        _refuse_oddities(root, name)
        _refuse_explosion(root, name)
        plain = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise BadArtifact(
            f"{name}:{_line(error)}: not YAML: {error.problem}"
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"character {error.character:#x} is not allowed here; delete it"
        raise BadArtifact(f"{name}:{line}: not YAML: {problem}") from error
    if not isinstance(plain, dict):
        raise BadArtifact(f"{name}:1: must be a mapping of fields")
    try:
        # As JSON, strictly: true is no number, 8 is no text, a list is any sequence.
        return model.model_validate_json(json.dumps(plain, default=_text), strict=True)
    except (TypeError, ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):  # such as an alias of itself
            raise BadArtifact(f"{name}:1: not YAML: {error}") from error
        lines = [_problem(name, root, dict(e), model) for e in _told(error)]
        raise refusal(lines, name=name) from error


def refusal(problems: Iterable[str], *, name: str) -> BadArtifact:
    """The error of a file: its problems, each "name:line: …", in their order.

    >>> str(refusal(["f.yaml:12: b: is empty", "f.yaml:3: a: is empty"], name="f.yaml"))
    'f.yaml:3: a: is empty\\nf.yaml:12: b: is empty'
    """

    def line(problem: str) -> int:
        return int(problem.removeprefix(f"{name}:").partition(":")[0])

    return BadArtifact("\n".join(sorted(problems, key=line)))


def _told(error: ValidationError) -> list[ErrorDetails]:
    """Its errors, but for a list that is too short because its entries are wrong."""
    errors = error.errors()
    places = [e["loc"] for e in errors]
    return [
        e
        for e in errors
        if e["type"] != "too_short"
        or not any(p[: len(e["loc"])] == e["loc"] and p != e["loc"] for p in places)
    ]


def _text(value: object) -> str:
    """What only a tag can bring: a date."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is nothing that a file may hold")


def _refuse_depth(text: str, name: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH_MAX and event.start_mark:
            line = event.start_mark.line + 1
            raise BadArtifact(f"{name}:{line}: nested deeper than {_DEPTH_MAX}")


def _refuse_oddities(root: yaml.Node | None, name: str) -> None:
    """Refuse what YAML lets pass: a field written twice."""
    problems = []
    for node in _nodes(root, set()):
        if not isinstance(node, yaml.MappingNode):
            continue
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if first.setdefault(_key(key), key) is key:
                continue
            above = first[_key(key)].start_mark.line + 1
            said = f"{_key(key)}: is written twice, in line {above} too"
            problems.append(f"{name}:{key.start_mark.line + 1}: {said}")
    if problems:
        raise refusal(problems, name=name)


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":str")


def _key(node: yaml.Node) -> str:
    """A field's name as it will be read: 01 is 1, and True is true."""
    text = str(node.value)
    return text if _is_text(node) else text.lower().lstrip("+0")


def _refuse_explosion(root: yaml.Node | None, name: str) -> None:
    """Refuse aliases of aliases that a few lines would make gigabytes of."""
    sizes: dict[int, float] = {}

    def size(node: yaml.Node) -> float:
        if id(node) not in sizes:
            sizes[id(node)] = inf  # of what holds itself
            sizes[id(node)] = 1 + (
                sum(map(size, _children(node)))
                if isinstance(node, yaml.CollectionNode)
                else len(node.value)
            )
        return sizes[id(node)]

    if root is not None and size(root) > _WRITTEN_OUT_MAX:
        raise BadArtifact(
            f"{name}:1: not YAML: its aliases, written out, are larger than "
            f"{_WRITTEN_OUT_MAX} characters, or hold themselves"
        )


def _children(node: yaml.CollectionNode) -> Iterator[yaml.Node]:
    for child in node.value:
        yield from child if isinstance(child, tuple) else (child,)


def _nodes(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.Node]:
    """Every node once; an alias may lead back to its anchor."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    yield node
    if isinstance(node, yaml.CollectionNode):
        for child in _children(node):
            yield from _nodes(child, seen)


def line_of(text: str, path: tuple[int | str, ...]) -> int:
    """The 1-based line of a field, or of its nearest ancestor that exists.

    >>> line_of("a:\\n  - b: 1\\n  - b: 2\\n", ("a", 1, "b"))
    3
    """
    return _locate(yaml.compose(text, Loader=_LOADER), path)


def _line(error: yaml.MarkedYAMLError) -> int:
    return error.problem_mark.line + 1 if error.problem_mark else 1


def _locate(node: yaml.Node | None, path: tuple[int | str, ...]) -> int:
    line = node.start_mark.line + 1 if node else 1
    for step in path:
        child = _child(node, step)
        if child is None:
            break
        node, line = child
    return line


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line + 1
        return None
    if not isinstance(node, yaml.SequenceNode) or not isinstance(step, int):
        return None
    if step >= len(node.value):
        return None
    return node.value[step], node.value[step].start_mark.line + 1


def _problem(
    name: str, root: yaml.Node | None, error: dict[str, object], model: type[BaseModel]
) -> str:
    path = error["loc"]
    assert isinstance(path, tuple)
    path = tuple(step for step in path if not _INNER.fullmatch(str(step)))
    where = ".".join(str(step) for step in path) or "file"
    kind, said = str(error["type"]), str(error["msg"]).removeprefix("Value error, ")
    message = _PLAIN.get(kind, re.sub("^(Input|String|Value) should", "should", said))
    if kind == "extra_forbidden":
        message = f"unknown field{_suggestion(str(path[-1]), model)}"
    elif error["input"] is None and kind != "value_error":
        message = "is empty; write its value, or delete the line"
    elif kind.startswith("datetime_"):
        message += "; a time is written with its zone: 2026-12-31T00:00:00Z"
    return f"{name}:{_locate(root, path)}: {where}: {message}"


def _suggestion(field: str, model: type[BaseModel]) -> str:
    known = sorted(_field_names(model, set()))
    if field in known:
        return " here; it belongs elsewhere"
    close = get_close_matches(field, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _field_names(model: type[BaseModel], seen: set[type]) -> set[str]:
    if model in seen:
        return set()
    seen.add(model)
    names = set(model.model_fields)
    for definition in model.model_json_schema().get("$defs", {}).values():
        names |= set(definition.get("properties", {}))
    return names
