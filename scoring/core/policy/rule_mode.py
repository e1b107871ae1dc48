"""A policy text with one rule in another mode: nothing else changes."""

from __future__ import annotations

from typing import Any

import yaml

from scoring.errors import BadArtifact, InvalidTransaction


def with_mode(text: str, rule: str, mode: str) -> str:
    """The text with that mode of a rule; comments and all the rest stay as they are.

    >>> with_mode("rules: [{id: a, when: 'score > 0.5'}]", "a", "shadow")
    "rules: [{mode: shadow, id: a, when: 'score > 0.5'}]"

    Raises `InvalidTransaction` where it has no such rule, and `BadArtifact` for a text
    that is no YAML or has aliases, of which one change would be several.
    """
    try:
        aliased = any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(text))
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise BadArtifact("the policy is no YAML; mend it in the editor") from error
    if aliased:
        raise BadArtifact(
            "the policy uses aliases (*name): change the rule's mode there"
        )
    found = _rule(root, rule)
    written = _value(found, "mode")
    if written is not None:
        start, end = written.start_mark.index, written.end_mark.index
        return text[:start] + mode + text[end:]
    at = found.start_mark.index + found.flow_style
    between = ", " if found.flow_style else f"\n{' ' * found.start_mark.column}"
    return f"{text[:at]}mode: {mode}{between}{text[at:]}"


def _rule(root: Any, rule: str) -> Any:
    rules = _value(root, "rules")
    known = []
    for each in rules.value if rules is not None else ():
        named = _value(each, "id")
        if named is not None and named.value == rule:
            return each
        known += [] if named is None else [named.value]
    has = ", ".join(known) or "none"
    raise InvalidTransaction("rule", f"the text has no rule of this id; it has: {has}")


def _value(mapping: Any, name: str) -> Any:
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == name), None)
