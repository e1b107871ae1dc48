"""Values of Python as literals of Lua."""

from __future__ import annotations

from math import isnan
from typing import Any


def lua_literal(value: Any) -> str:
    """A value as a Lua literal.

    >>> lua_literal({"a": [1, True], "b": "x"})
    '{["a"]={1,true},["b"]="x"}'
    """
    if isinstance(value, dict):
        return (
            "{" + ",".join(f'["{k}"]={lua_literal(v)}' for k, v in value.items()) + "}"
        )
    if isinstance(value, list):
        return "{" + ",".join(lua_literal(item) for item in value) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float) and isnan(value):
        return "(0/0)"
    return repr(value)
