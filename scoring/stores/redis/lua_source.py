"""The Lua of the store's program: its parts put together, and literals of values."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from math import isnan
from typing import Any

from scoring.stores.redis import formats
from scoring.stores.redis.calls import SHAPES

# In this order: each may use what those before it define.
PARTS = (
    "server", "events", "extend", "counterparts", "labels", "windows", "compaction",
    "writing", "lifecycle", "entities", "claims", "calls", "cluster",
)  # fmt: skip
_NAME = re.compile(r"\b[A-Z][A-Z_]*\b")


def library(body: str, name: str) -> str:
    """A program as a library of server-side functions (Redis 7 and later)."""
    registered = "\n".join(
        f"redis.register_function('{name}_{call}', "
        f"function(keys{', args' if shape.arguments else ''}) "
        f"bind() return calls.{call}({shape.given}) end)"
        for call, shape in SHAPES.items()
    )
    return f"#!lua name={name}\n{body}\n{registered}\n"


def script(body: str, call: str) -> str:
    """One call of a program as a script, for servers without functions."""
    given = SHAPES[call].given
    return (
        f"{body}\nlocal keys, args = KEYS, ARGV\nbind()\nreturn calls.{call}({given})\n"
    )


def program(plans: list[dict[str, Any]], *, dedupe_ms: int) -> str:
    """The program over a table of plans, without its calls' registration.

    A name in capitals is replaced by its value: it costs the server nothing, and Lua's
    limit of 200 locals is left to functions.
    """
    checks = [lua_check(plan["width"], plan["reals"]) for plan in plans]
    earlier = [plan["earlier"] for plan in plans]
    early = [lua_check(old["width"], old["reals"]) for old in earlier]
    head = (
        f"local PLANS = {lua_literal(plans)}\n"
        f"local CHECKS = {{{','.join(checks)}}}\n"
        f"local EARLIER = {{{','.join(early)}}}\n"
    )
    known = {**names(), "DEDUPE_MS": dedupe_ms}
    return head + "".join(with_values(part(name), known) for name in PARTS)


def part(name: str) -> str:
    """A part as it is written."""
    return (
        resources.files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")
    )


@cache
def names() -> Mapping[str, int | str]:
    """What a part may name: all of `formats`, and where a call's own keys begin.

    >>> names()["OBSERVE_KEYS"], names()["OBSERVE_ARGS"]
    (2, 4)
    """
    found = formats.names()
    for call, shape in SHAPES.items():
        found[f"{call.upper()}_KEYS"] = len(shape.keys)
        found[f"{call.upper()}_ARGS"] = len(shape.arguments)
    return found


def with_values(text: str, known: Mapping[str, int | str]) -> str:
    """A part with the values of its names.

    >>> with_values("if n > WRAP then return NAN, MODE_LATE end", names())
    "if n > 4294967296 then return NAN, 'L' end"
    """
    return _NAME.sub(lambda m: _value(known[m[0]]) if m[0] in known else m[0], text)


def _value(value: int | str) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    return f"({value})" if value < 0 else str(value)


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


def lua_check(width: int, reals: Collection[int]) -> str:
    """The sum over a record's numbers, of which some are reals, as a function of Lua.

    Written out, since a loop over the numbers was a fifth of the program's steps.

    >>> lua_check(2, [])
    'function(r) return (7+r[1]%65521*3+r[2]%65521*5)%16777216 end'
    """
    parts = [
        f"floor(r[{i}])%{formats.CHECK_PRIME}*{2 * i + 1}"
        if i in reals
        else f"r[{i}]%{formats.CHECK_PRIME}*{2 * i + 1}"
        for i in range(1, width + 1)
    ]
    parts = [
        str(formats.CHECK_START),
        *parts,
        *(f"fraction(r[{i}],{i})" for i in reals),
    ]
    total, modulus = "+".join(parts), formats.CHECK_MODULUS
    if not reals:
        return f"function(r) return ({total})%{modulus} end"
    return f"function(r,floor,fraction) return floor({total})%{modulus} end"
