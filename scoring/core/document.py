"""Files that people edit: YAML text to a validated model, or a located refusal."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from scoring.errors import BadArtifact

M = TypeVar("M", bound=BaseModel)
_CHARACTERS_MAX = 4_000_000  # a policy of 4 MB is a list in the wrong place


def load(text: str, model: type[M], *, name: str) -> M:
    """Validate YAML text against a model.

    Raises `BadArtifact`, one line for each mistake: "file:line: field: problem".
    `name` is the file as the reader knows it.
    """
    if len(text) > _CHARACTERS_MAX:
        raise BadArtifact(f"{name}: larger than {_CHARACTERS_MAX} characters")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        plain = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise BadArtifact(
            f"{name}:{_line(error)}: not YAML: {error.problem}"
        ) from error
    except yaml.YAMLError as error:
        raise BadArtifact(f"{name}: not YAML: {error}") from error
    if not isinstance(plain, dict):
        raise BadArtifact(f"{name}:1: must be a mapping of fields")
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        lines = [_problem(name, root, dict(e), model) for e in error.errors()]
        raise BadArtifact("\n".join(lines)) from error


def line_of(text: str, path: tuple[int | str, ...]) -> int:
    """The 1-based line of a field, or of its nearest ancestor that exists.

    >>> line_of("a:\\n  - b: 1\\n  - b: 2\\n", ("a", 1, "b"))
    3
    """
    return _locate(yaml.compose(text, Loader=yaml.SafeLoader), path)


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
    where = ".".join(str(step) for step in path) or "file"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = f"unknown field{_suggestion(str(path[-1]), model)}"
    return f"{name}:{_locate(root, path)}: {where}: {message}"


def _suggestion(field: str, model: type[BaseModel]) -> str:
    known = sorted(_field_names(model, set()))
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
