"""A policy's text as YAML has it, for pages that show parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def policy_in(text: str) -> Mapping[str, Any]:
    """What a text says by its sections; nothing where it cannot be read.

    >>> policy_in("rules: [{id: a}]"), policy_in("]"), policy_in("a")
    ({'rules': [{'id': 'a'}]}, {}, {})
    """
    try:
        read = yaml.load(text, _LOADER)  # noqa: S506 - the safe one, in C where it is
    except yaml.YAMLError:
        return {}
    return read if isinstance(read, dict) else {}


def rules_in(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Its rules that have an id, in their order.

    >>> rules_in({"rules": [{"id": "a"}, {"then": "review"}, 3]})
    [{'id': 'a'}]
    >>> rules_in({"rules": 5})
    []
    """
    rules = policy.get("rules")
    written = rules if isinstance(rules, list) else []
    return [each for each in written if isinstance(each, dict) and "id" in each]
